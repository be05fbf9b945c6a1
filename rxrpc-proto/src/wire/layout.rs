//! Fixed layouts: structures whose fields follow one another at offsets that never vary.

use alloc::vec::Vec;
use core::net::Ipv4Addr;

/// A value of fixed size, big-endian.
pub(super) trait Field: Sized {
    /// Octets on the wire.
    const LEN: usize;

    /// Takes the value from the front of `octets`; `None` if they are too few.
    fn take(octets: &mut &[u8]) -> Option<Self>;

    /// Appends the value.
    fn put(&self, out: &mut Vec<u8>);
}

macro_rules! integers {
    ($($integer:ty),+) => { $(
        impl Field for $integer {
            const LEN: usize = size_of::<$integer>();

            fn take(octets: &mut &[u8]) -> Option<$integer> {
                let (value, rest) = octets.split_first_chunk()?;
                *octets = rest;
                Some(<$integer>::from_be_bytes(*value))
            }

            fn put(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_be_bytes());
            }
        }
    )+ };
}

integers!(u8, u16, i16, u32, i32, u64);

impl<T: Field + Copy + Default, const N: usize> Field for [T; N] {
    const LEN: usize = T::LEN * N;

    fn take(octets: &mut &[u8]) -> Option<[T; N]> {
        let mut values = [T::default(); N];
        for value in &mut values {
            *value = T::take(octets)?;
        }
        Some(values)
    }

    fn put(&self, out: &mut Vec<u8>) {
        self.iter().for_each(|value| value.put(out));
    }
}

impl Field for Ipv4Addr {
    const LEN: usize = 4;

    fn take(octets: &mut &[u8]) -> Option<Ipv4Addr> {
        u32::take(octets).map(Ipv4Addr::from_bits)
    }

    fn put(&self, out: &mut Vec<u8>) {
        self.to_bits().put(out);
    }
}

/// Takes a counted string: a 32-bit length, as many octets, and zeros up to a multiple of four.
/// What the padding holds is not looked at.
pub(super) fn take_opaque<'a>(octets: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = usize::try_from(u32::take(octets)?).ok()?;
    let (padded, rest) = octets.split_at_checked(len.checked_next_multiple_of(4)?)?;
    *octets = rest;
    padded.get(..len)
}

/// Appends a counted string, padded with zeros. It has fewer than 2^32 octets.
pub(super) fn put_opaque(opaque: &[u8], out: &mut Vec<u8>) {
    u32::try_from(opaque.len()).unwrap_or(u32::MAX).put(out);
    out.extend_from_slice(opaque);
    let padding = opaque.len().wrapping_neg() % 4;
    out.resize(out.len().saturating_add(padding), 0);
}

/// Declares a structure of [`Field`]s with `LEN`, `parse` and `emit`.
macro_rules! layout {
    (
        $(#[$about:meta])*
        pub struct $name:ident { $( $(#[$doc:meta])* pub $field:ident: $kind:ty, )+ }
    ) => {
        $(#[$about])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub struct $name { $( $(#[$doc])* pub $field: $kind, )+ }

        impl $crate::wire::layout::Field for $name {
            const LEN: usize = 0 $( + <$kind as $crate::wire::layout::Field>::LEN )+;

            fn take(octets: &mut &[u8]) -> Option<$name> {
                $( let $field = <$kind as $crate::wire::layout::Field>::take(octets)?; )+
                Some($name { $( $field, )+ })
            }

            fn put(&self, out: &mut alloc::vec::Vec<u8>) {
                $( $crate::wire::layout::Field::put(&self.$field, out); )+
            }
        }

        impl $name {
            /// Octets on the wire.
            pub const LEN: usize = <$name as $crate::wire::layout::Field>::LEN;

            /// Reads the structure and returns it with what follows it.
            ///
            /// # Errors
            /// [`FrameFault::Short`](crate::wire::FrameFault::Short) if it is incomplete.
            pub fn parse(body: &[u8]) -> Result<($name, &[u8]), $crate::wire::FrameFault> {
                let mut rest = body;
                let value = <$name as $crate::wire::layout::Field>::take(&mut rest);
                Ok((value.ok_or($crate::wire::FrameFault::Short)?, rest))
            }

            /// Appends the structure to `out`.
            pub fn emit(&self, out: &mut alloc::vec::Vec<u8>) {
                $crate::wire::layout::Field::put(self, out);
            }
        }
    };
}
pub(super) use layout;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_big_endian_and_leave_the_rest() {
        let mut octets = &[1, 2, 3, 0xff, 0xfe, 9][..];
        assert_eq!((u8::take(&mut octets), u16::take(&mut octets)), (Some(1), Some(0x0203)));
        assert_eq!((i16::take(&mut octets), octets), (Some(-2), &[9][..]));
        assert_eq!((u32::take(&mut octets), octets), (None, &[9][..]));
    }

    #[test]
    fn an_opaque_is_padded_to_words() {
        for len in 0..9 {
            let opaque: Vec<u8> = (1..=len).collect();
            let mut out = Vec::new();
            put_opaque(&opaque, &mut out);
            assert_eq!(out.len() % 4, 0);
            assert_eq!(out.len(), 4 + usize::from(len).next_multiple_of(4));
            out.push(0x77);
            let mut octets = &out[..];
            assert_eq!(take_opaque(&mut octets), Some(&opaque[..]));
            assert_eq!(octets, [0x77]);
        }
    }

    #[test]
    fn an_opaque_longer_than_the_packet_is_refused() {
        for mut octets in
            [&[0, 0, 0, 5, 1, 2, 3, 4, 5, 0, 0][..], &[0xff; 12], &[0xff, 0xff, 0xff, 0xfd, 1], &[0, 0]]
        {
            assert_eq!(take_opaque(&mut octets), None);
        }
    }
}
