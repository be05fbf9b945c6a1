//! What a peer can make an endpoint hold, measured at the allocator.

#[path = "harness/raw.rs"]
mod raw;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use raw::{Raw, from_client};
use rxrpc_proto::wire::PacketType;

thread_local! {
    /// Bytes allocated and not freed by this thread.
    static HELD: Cell<isize> = const { Cell::new(0) };
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every call is passed on to the system's allocator as it is; counting neither allocates nor fails.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = HELD.try_with(|held| held.set(held.get() + layout.size() as isize));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        let _ = HELD.try_with(|held| held.set(held.get() - layout.size() as isize));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(ptr, layout) }
    }
}

fn held() -> isize {
    HELD.with(Cell::get)
}

/// One packet in order, as large as a chunk of memory, which is read at once, then a byte far ahead, which has to
/// be held: the chunks must not stay for the bytes.
#[test]
fn h1_a_byte_held_does_not_hold_the_memory_around_it() {
    let mut raw = Raw::with(|config| config.socket_receive_buffer = 64 << 20);
    raw.give(&from_client(PacketType::Data).body(&[1; 60_000]));
    let call = raw.accept();
    raw.read(call);
    let before = held();
    for seq in 2..=120 {
        let data = |seq, len| from_client(PacketType::Data).seq(seq).serial(seq).body(&vec![seq as u8; len]);
        raw.give(&data(seq + 130, 1));
        raw.give(&data(seq, 60_000));
        assert_eq!(raw.read(call).len(), 60_000);
    }
    raw.poll();
    let grown = held() - before;
    let counted = raw.end.stats().unread;
    assert!((5_000..20_000).contains(&counted), "{counted}");
    assert!(grown < 200_000, "{grown} bytes are held for {counted} that are counted");
}

/// Strangers who push each other out, far more than are remembered.
#[test]
fn h5_what_is_remembered_of_connections_that_made_room_is_bounded() {
    const REMEMBERED: usize = 10_000;
    let mut raw = Raw::with(|config| {
        config.validate_peers = true;
        config.limits.unvalidated_connections = 1;
        config.limits.evicted_connections = REMEMBERED;
    });
    let mut ask = |n: u32| {
        raw.give(&from_client(PacketType::Data).cid(4 * n).last().body(b"ask"));
        let call = raw.accept();
        raw.end.release(call);
        raw.poll();
        raw.events();
    };
    (0..100).for_each(&mut ask);
    let before = held();
    (100..4 * REMEMBERED as u32).for_each(&mut ask);
    let each = (held() - before) / REMEMBERED as isize;
    assert!((100..400).contains(&each), "{each} bytes for each");
}
