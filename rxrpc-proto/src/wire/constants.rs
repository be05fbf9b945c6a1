//! Sizes and limits that the packet formats fix.

/// Octets of the header that starts every datagram.
pub const HEADER_LEN: usize = 28;
/// Channels of a connection: the two low bits of the cid field choose one.
pub const CHANNELS: usize = 4;
/// The bits of the cid field that choose the channel.
pub const CHANNEL_MASK: u32 = 0x0000_0003;
/// The bits of the cid field that name the connection.
pub const CONNECTION_MASK: u32 = 0xffff_fffc;
/// The bit of the epoch field that says the epoch is random, not a boot time.
pub const EPOCH_RANDOM: u32 = 0x8000_0000;
/// The epoch that askers of the debug and version services write, as do NAT keepalives of `OpenAFS`.
pub const DEBUG_EPOCH: u32 = 999;

/// Payload octets of a jumbo segment that another one follows.
pub const JUMBO_DATA_LEN: usize = 1412;
/// Octets of the sub-header between two jumbo segments.
pub const JUMBO_HEADER_LEN: usize = 4;
/// The most segments in one datagram.
pub const MAX_JUMBO_SEGMENTS: usize = 46;
/// The longest payload a UDP datagram over IPv4 can carry, in octets.
pub const MAX_DATAGRAM: usize = 65_507;

/// Octets of an ACK body before its soft-ACK table.
pub const ACK_FIXED_LEN: usize = 18;
/// The most entries of a soft-ACK table, and the widest window old peers can describe.
pub const MAX_SACK: usize = 255;
/// Octets between the soft-ACK table and the trailer, always sent as zero.
pub const ACK_FILLER_LEN: usize = 3;
/// Octets of the complete trailer: four words.
pub const TRAILER_LEN: usize = 16;

/// Octets of an ABORT body.
pub const ABORT_LEN: usize = 4;
/// Octets of the body of a VERSION reply, NUL padded.
pub const VERSION_LEN: usize = 65;

/// The smallest path MTU value in a trailer that a reader believes; smaller ones are raised to it.
pub const MIN_MTU: u32 = 500;
/// The MTU value sent to peers that do not probe the path: Ethernet less IP, UDP and Rx headers.
pub const DEFAULT_MTU: u32 = 1444;
/// The packets a sender may have in flight before the first trailer told it the window.
pub const INITIAL_WINDOW: u32 = 16;

/// Security index of connections without security.
pub const SECURITY_NONE: u8 = 0;
/// Security index of rxkad.
pub const SECURITY_RXKAD: u8 = 2;
/// Security index of rxkad with encryption only; the formats are rxkad's.
pub const SECURITY_RXKAD_CRYPT: u8 = 3;
/// Security index of rxgk as `OpenAFS` numbers it.
pub const SECURITY_RXGK: u8 = 4;
/// Security index of rxgk as `AuriStor` and Linux number it.
pub const SECURITY_YFS_RXGK: u8 = 6;
