//! Reusable memory for large pieces: an allocator holds on to much of the memory of such pieces when they are freed on
//! many threads.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

/// The largest buffer that is allocated at once, and kept: the size in a descriptor is not trusted.
const LARGEST: usize = 64 << 20;
/// The smallest buffer that is kept.
const SMALLEST: usize = 1 << 20;

/// Buffers that are reused for as long as there is a [user](Buffers::use_them).
#[derive(Debug, Default)]
pub struct Buffers(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    free: Vec<Vec<u8>>,
    users: usize,
}

/// A user of buffers; free buffers are dropped with the last one.
#[derive(Debug)]
pub struct User(Arc<Buffers>);

impl Buffers {
    /// Keeps free buffers until the user is dropped.
    #[must_use]
    pub fn use_them(self: &Arc<Self>) -> User {
        self.lock().users += 1;
        User(Arc::clone(self))
    }

    /// An empty buffer of this capacity.
    #[must_use]
    pub fn take(&self, length: usize) -> Vec<u8> {
        let wanted = length.min(LARGEST);
        let free = if wanted >= SMALLEST { self.lock().free.pop() } else { None };
        free.filter(|buffer| buffer.capacity() >= wanted).unwrap_or_else(|| Vec::with_capacity(wanted))
    }

    /// Turns a buffer into bytes; the buffer is free again when the last copy of them is dropped, or at once if they
    /// are few.
    #[must_use]
    pub fn lend(self: &Arc<Self>, bytes: Vec<u8>) -> Bytes {
        if is_mostly_empty(&bytes) {
            let few = Bytes::copy_from_slice(&bytes);
            self.give_back(bytes);
            return few;
        }
        Bytes::from_owner(Lent { bytes, home: Arc::clone(self) })
    }

    /// Takes back a buffer whose bytes are not needed.
    pub fn give_back(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        let mut state = self.lock();
        if state.users > 0 && (SMALLEST..=LARGEST).contains(&buffer.capacity()) {
            state.free.push(buffer);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The bytes as a piece of a stream, without the unused capacity of their buffer.
///
/// Memory bounds count the bytes of pieces. Small pieces that each hold a large buffer, as from a compressed layer of
/// zeros, would take a thousand times as much memory.
#[must_use]
pub fn piece(bytes: Vec<u8>) -> Bytes {
    if is_mostly_empty(&bytes) { Bytes::copy_from_slice(&bytes) } else { bytes.into() }
}

fn is_mostly_empty(bytes: &Vec<u8>) -> bool {
    bytes.len() < bytes.capacity() / 2
}

impl Drop for User {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.users -= 1;
        if state.users == 0 {
            state.free = Vec::new();
        }
    }
}

struct Lent {
    bytes: Vec<u8>,
    home: Arc<Buffers>,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.home.give_back(std::mem::take(&mut self.bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_used_again_until_its_last_user_ends() {
        let buffers = Arc::<Buffers>::default();
        let user = buffers.use_them();
        let mut part = buffers.take(SMALLEST);
        part.resize(SMALLEST, b'a');
        let place = part.as_ptr();
        let lent = buffers.lend(part);
        assert_eq!((lent.len(), buffers.lock().free.len()), (SMALLEST, 0));
        drop(lent);
        let again = buffers.take(SMALLEST);
        assert!(again.is_empty() && again.as_ptr() == place);
        let mut again = again;
        again.resize(SMALLEST, b'b');
        let lent = buffers.lend(again);
        drop(user);
        drop(lent);
        assert!(buffers.lock().free.is_empty());
    }

    #[test]
    fn few_bytes_do_not_keep_a_large_buffer() {
        let buffers = Arc::<Buffers>::default();
        let _user = buffers.use_them();
        let mut part = buffers.take(SMALLEST);
        part.extend_from_slice(b"abc");
        let (room, lent) = (part.as_ptr_range(), buffers.lend(part));
        assert_eq!((&lent[..], buffers.lock().free.len()), (&b"abc"[..], 1));
        assert!(!room.contains(&lent.as_ptr()));
        let mut bytes = Vec::with_capacity(SMALLEST);
        bytes.push(7);
        let (room, few) = (bytes.as_ptr_range(), piece(bytes));
        assert!(!room.contains(&few.as_ptr()));
    }

    #[test]
    fn a_claimed_size_allocates_at_most_the_limit() {
        assert_eq!(Buffers::default().take(usize::MAX).capacity(), LARGEST);
    }
}
