//! Where a shard keeps its entries: each stays where it is, and the place that one leaves is free for another.

/// No place.
pub(super) const NONE: u32 = u32::MAX;
/// How many places are allocated together.
const CHUNK: usize = 1024;
/// The most places of a chunk that is kept though all are empty, for a store that is empty now and then.
const KEPT: usize = 4;
/// How many places a chunk has that grows, before it has all.
const FEW: usize = 16;
/// For how many chunks there is room from the beginning, and at the end. A small piece that is allocated while much is in
/// use, and is given back, keeps an allocator from giving back what lies below it.
const CHUNKS: usize = 32;

/// In chunks, so that growing copies nothing and shrinking gives memory back.
#[derive(Debug)]
pub(super) struct Places<T> {
    chunks: Vec<Chunk<T>>,
    /// The chunks that are not full. The last one is used; those without memory come first.
    open: Vec<usize>,
    taken: usize,
    /// How many chunks have memory.
    allocated: usize,
}

#[derive(Debug)]
struct Chunk<T> {
    places: Memory<T>,
    /// The place that became free last; each names the one before it.
    free: u32,
    taken: usize,
}

/// The memory of a chunk.
type Memory<T> = Vec<Place<T>>;

/// Memory that is no longer of use, to be dropped after the lock is given back. It needs none of its own unless many
/// chunks are given up at once.
#[derive(Debug)]
pub(super) struct Freed<T> {
    few: [Memory<T>; 2],
    more: Vec<Memory<T>>,
}

impl<T> Default for Freed<T> {
    fn default() -> Self {
        Self { few: Default::default(), more: Vec::new() }
    }
}

impl<T> Freed<T> {
    fn push(&mut self, memory: Memory<T>) {
        match self.few.iter_mut().find(|place| place.capacity() == 0) {
            Some(place) => *place = memory,
            None => self.more.push(memory),
        }
    }
}

#[derive(Debug)]
pub(super) enum Place<T> {
    Taken(T),
    Free(u32),
}

impl<T> Default for Places<T> {
    fn default() -> Self {
        Self { chunks: Vec::new(), open: Vec::new(), taken: 0, allocated: 0 }
    }
}

impl<T> Default for Chunk<T> {
    fn default() -> Self {
        Self { places: Vec::new(), free: NONE, taken: 0 }
    }
}

impl<T> Places<T> {
    pub(super) const fn len(&self) -> usize {
        self.taken
    }

    pub(super) fn get(&self, at: u32) -> Option<&T> {
        let (number, at) = split(at)?;
        match self.chunks.get(number)?.places.get(at)? {
            Place::Taken(entry) => Some(entry),
            Place::Free(_) => None,
        }
    }

    pub(super) fn get_mut(&mut self, at: u32) -> Option<&mut T> {
        let (number, at) = split(at)?;
        match self.chunks.get_mut(number)?.places.get_mut(at)? {
            Place::Taken(entry) => Some(entry),
            Place::Free(_) => None,
        }
    }

    /// The place that the next [`put`](Self::put) takes.
    pub(super) fn next(&mut self) -> Option<u32> {
        if self.open.is_empty() {
            if self.chunks.capacity() == 0 {
                self.chunks.reserve_exact(CHUNKS);
                self.open.reserve_exact(CHUNKS);
            }
            self.open.push(self.chunks.len());
            self.chunks.push(Chunk::default());
        }
        let number = *self.open.last()?;
        let chunk = self.chunks.get(number)?;
        if chunk.free != NONE {
            return Some(chunk.free);
        }
        // The last number is no place.
        u32::try_from(number * CHUNK + chunk.places.len()).ok().filter(|at| *at != NONE)
    }

    /// Puts `entry` into the place that [`next`](Self::next) named.
    pub(super) fn put(&mut self, entry: T) {
        let Some(chunk) = self.open.last().and_then(|number| self.chunks.get_mut(*number)) else { return };
        let (len, room) = (chunk.places.len(), chunk.places.capacity());
        if len == room {
            // The first one grows, so that a shard with a few entries has room for a few.
            let room = match room {
                0 if self.allocated == 0 => KEPT,
                KEPT => FEW,
                _ => CHUNK,
            };
            chunk.places.reserve_exact(room - len);
        }
        if room == 0 {
            self.allocated += 1;
        }
        match split(chunk.free).and_then(|(_, free)| chunk.places.get_mut(free)) {
            Some(place) => {
                if let Place::Free(before) = *place {
                    chunk.free = before;
                }
                *place = Place::Taken(entry);
            }
            None => chunk.places.push(Place::Taken(entry)),
        }
        chunk.taken += 1;
        self.taken += 1;
        if chunk.taken == CHUNK {
            self.open.pop();
        }
    }

    /// Takes an entry out.
    pub(super) fn take(&mut self, at: u32, freed: &mut Freed<T>) -> Option<T> {
        let (number, place) = split(at)?;
        let chunk = self.chunks.get_mut(number)?;
        let place = chunk.places.get_mut(place).filter(|place| matches!(place, Place::Taken(_)))?;
        let Place::Taken(entry) = std::mem::replace(place, Place::Free(chunk.free)) else { return None };
        chunk.free = at;
        if chunk.taken == CHUNK {
            self.open.push(number);
        }
        chunk.taken -= 1;
        self.taken -= 1;
        if chunk.taken == 0 {
            self.release(number, freed);
        }
        Some(entry)
    }

    /// Gives the memory of an empty chunk away, unless the others are about to be full: who comes and goes at the border of
    /// two chunks would allocate each time.
    fn release(&mut self, number: usize, freed: &mut Freed<T>) {
        let Some(chunk) = self.chunks.get_mut(number) else { return };
        if self.taken == 0 {
            if self.allocated > 1 || chunk.places.capacity() > KEPT {
                let chunks = self.chunks.drain(..).map(|chunk| chunk.places);
                chunks.filter(|places| places.capacity() > 0).for_each(|places| freed.push(places));
                self.open.clear();
                self.allocated = 0;
                if self.chunks.capacity() > CHUNKS {
                    *self = Self::default();
                }
            }
            return;
        }
        let others = self.allocated.saturating_sub(1);
        if (others * CHUNK).saturating_sub(self.taken) < CHUNK / 2 {
            return;
        }
        self.allocated = others;
        freed.push(std::mem::take(chunk).places);
        // The last to be used again.
        if let Some(at) = self.open.iter().position(|open| *open == number) {
            self.open.remove(at);
            self.open.insert(0, number);
        }
    }
}

/// The number of the chunk, and which of its places it is.
fn split(at: u32) -> Option<(usize, usize)> {
    let at = usize::try_from(at).ok().filter(|_| at != NONE)?;
    Some((at / CHUNK, at % CHUNK))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    /// Puts `value`, and returns where.
    fn put(places: &mut Places<u64>, value: u64) -> u32 {
        let at = places.next().unwrap();
        assert!(places.get(at).is_none(), "{at} is free");
        places.put(value);
        assert_eq!(places.get(at), Some(&value));
        at
    }

    fn room(places: &Places<u64>) -> usize {
        places.chunks.iter().map(|chunk| chunk.places.capacity()).sum()
    }

    #[test]
    fn what_is_put_stays_where_it_is() {
        let (mut places, mut known, mut random) = (Places::default(), HashMap::new(), 1_u64);
        for value in 0..100_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            // It grows to some thousands, and shrinks to nothing, again and again.
            let grows = (value / 10_000) % 2 == 0;
            if (random >> 33) % 4 < if grows { 3 } else { 1 } {
                let at = put(&mut places, value);
                assert_eq!(known.insert(at, value), None, "{at} was taken");
            } else if let Some(at) = known.keys().next().copied() {
                let mut freed = Freed::default();
                assert_eq!(places.take(at, &mut freed), known.remove(&at));
                assert!(places.take(at, &mut freed).is_none() && places.get(at).is_none());
                assert!(places.get_mut(at).is_none());
            }
            assert_eq!(places.len(), known.len());
            assert!(room(&places) <= places.allocated * CHUNK);
        }
        assert!(known.iter().all(|(at, value)| places.get(*at) == Some(value)));
        assert!(places.get(NONE).is_none() && places.take(NONE, &mut Freed::default()).is_none());
    }

    #[test]
    fn a_place_is_used_again() {
        let mut places = Places::default();
        let all: Vec<_> = (0..3 * CHUNK as u64).map(|value| put(&mut places, value)).collect();
        let mut freed = Freed::default();
        for at in &all[..10] {
            places.take(*at, &mut freed);
        }
        for at in all[..10].iter().rev() {
            assert_eq!(put(&mut places, 7), *at);
        }
        assert_eq!((places.chunks.len(), room(&places)), (3, 3 * CHUNK));
    }

    #[test]
    fn a12_an_empty_chunk_is_given_back_while_others_have_room() {
        let mut places = Places::default();
        let all: Vec<_> = (0..4 * CHUNK as u64).map(|value| put(&mut places, value)).collect();
        let mut freed = Freed::default();
        for at in &all[..CHUNK] {
            places.take(*at, &mut freed);
        }
        let given_back = |freed: &Freed<u64>| {
            freed.few.iter().chain(&freed.more).filter(|memory| memory.capacity() > 0).count()
        };
        assert_eq!((given_back(&freed), room(&places)), (0, 4 * CHUNK), "the others are full");
        for at in &all[CHUNK..2 * CHUNK] {
            places.take(*at, &mut freed);
        }
        assert_eq!((given_back(&freed), room(&places)), (1, 3 * CHUNK), "one stays in reserve");
        for at in &all[2 * CHUNK..3 * CHUNK] {
            places.take(*at, &mut freed);
        }
        assert_eq!((given_back(&freed), room(&places)), (2, 2 * CHUNK));
        for value in 0..CHUNK as u64 {
            put(&mut places, value);
        }
        for value in 0..CHUNK as u64 {
            put(&mut places, value);
        }
        assert_eq!(room(&places), 3 * CHUNK, "what is there is used before more is allocated");
        put(&mut places, 1);
        assert_eq!(room(&places), 4 * CHUNK);
    }

    #[test]
    fn a12_nothing_is_kept_of_many_and_a_little_of_few() {
        let (mut places, mut freed) = (Places::default(), Freed::default());
        for count in [5, 3 * CHUNK as u64, 40 * CHUNK as u64] {
            let all: Vec<_> = (0..count).map(|value| put(&mut places, value)).collect();
            assert!(all.iter().all(|at| places.take(*at, &mut freed).is_some()));
            assert_eq!(
                (room(&places), places.allocated, places.chunks.len(), places.open.len()),
                (0, 0, 0, 0)
            );
            assert!(places.chunks.capacity() <= CHUNKS);
        }
        let all: Vec<_> = (0..4).map(|value| put(&mut places, value)).collect();
        assert!(all.iter().all(|at| places.take(*at, &mut freed).is_some()));
        assert_eq!((places.len(), room(&places)), (0, KEPT));
        assert_eq!(put(&mut places, 9), all[3]);
    }
}
