//! An allocator that gives large allocations whole lines of the cache.

use std::alloc::{GlobalAlloc, Layout, System};

/// The system's allocator, with allocations of 4 KiB and more aligned to lines of the cache, 64 bytes.
///
/// A `Vec<f32>` is aligned to 4 bytes as far as Rust asks, and to 16 on most systems. Vectors of AVX-512, of 64 bytes, then often are in two
/// lines. Programs that train name this allocator:
///
/// ```
/// #[global_allocator]
/// static ALLOCATOR: qare_kernels::CacheAligned = qare_kernels::CacheAligned;
///
/// let values = vec![0.0_f32; 4096];
/// assert!(values.as_ptr().addr().is_multiple_of(64));
/// ```
///
/// Results do not depend on it.
#[derive(Clone, Copy, Debug, Default)]
pub struct CacheAligned;

/// Bytes of a line of the cache.
const LINE: usize = 64;

/// Smaller allocations are as the system aligns them.
const LARGE: usize = 4096;

/// Bytes of the number that is before the memory of a large allocation.
const NUMBER: usize = size_of::<usize>();

/// What the system allocates for a large layout: a line more, so that one begins within it. `None` for other layouts, which the system
/// allocates as they are.
///
/// The system could align memory itself, but would then write zeros to memory that it has just been given as zeros.
fn with_a_line_more(layout: Layout) -> Option<Layout> {
    let large = layout.size() >= LARGE && layout.align() <= LINE;
    // Too large a size is the system's to refuse.
    large.then(|| Layout::from_size_align(layout.size().checked_add(LINE)?, align_of::<usize>()).ok())?
}

/// Distance of the first line from the beginning of memory, of a number at least.
fn gap_of(memory: *mut u8) -> usize {
    LINE - memory.addr() % LINE
}

/// The first line in memory that the system has allocated [with a line more](with_a_line_more). Before it is its distance from the
/// beginning.
///
/// # Safety
///
/// `memory` is null or has been allocated so.
unsafe fn first_line(memory: *mut u8) -> *mut u8 {
    if memory.is_null() {
        return memory;
    }
    let gap = gap_of(memory);
    // SAFETY: the gap is at most the line more. The memory is aligned for a usize, of which a line is a multiple, and so the gap has
    // room for one, aligned.
    unsafe {
        let first = memory.add(gap);
        first.sub(NUMBER).cast::<usize>().write(gap);
        first
    }
}

/// What `first_line` has returned, back to what it was given.
///
/// # Safety
///
/// `first` is what [`first_line`] has returned, and not null.
unsafe fn beginning(first: *mut u8) -> *mut u8 {
    // SAFETY: the distance is before the line, and the beginning of the memory so far before it.
    unsafe { first.sub(first.sub(NUMBER).cast::<usize>().read()) }
}

// SAFETY: all memory is the system's. Memory of a large layout is in an allocation of that layout with a line more, from its first line
// on, which is at least as aligned as the layout asks for and has its size; the system gets it back as it gave it. Whether a layout is
// large depends on the layout alone, which the caller has to give each time.
unsafe impl GlobalAlloc for CacheAligned {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the layouts are not empty, as the caller promises.
        unsafe {
            match with_a_line_more(layout) {
                Some(outer) => first_line(System.alloc(outer)),
                None => System.alloc(layout),
            }
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as for `alloc`. The distance is written before the first line.
        unsafe {
            match with_a_line_more(layout) {
                Some(outer) => first_line(System.alloc_zeroed(outer)),
                None => System.alloc_zeroed(layout),
            }
        }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller promises that the memory was allocated here with `layout`.
        unsafe {
            match with_a_line_more(layout) {
                Some(outer) => System.dealloc(beginning(memory), outer),
                None => System.dealloc(memory, layout),
            }
        }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller promises that the new size can be a layout's and is not zero, and that the memory was allocated here with
        // `layout`; so the first `kept` bytes are in both allocations. If the system moves a large one by other than whole lines, they are
        // at the old distance from its beginning, and within the new one, since both distances are at most the line more.
        unsafe {
            let new = Layout::from_size_align_unchecked(size, layout.align());
            let kept = layout.size().min(size);
            match (with_a_line_more(layout), with_a_line_more(new)) {
                (None, None) => System.realloc(memory, layout, size),
                (Some(old), Some(outer)) => {
                    let from = beginning(memory);
                    let gap = memory.addr() - from.addr();
                    let to = System.realloc(from, old, outer.size());
                    if to.is_null() {
                        return to;
                    }
                    let new_gap = gap_of(to);
                    if new_gap != gap {
                        std::ptr::copy(to.add(gap), to.add(new_gap), kept);
                    }
                    first_line(to)
                }
                _ => {
                    let to = self.alloc(new);
                    if !to.is_null() {
                        std::ptr::copy_nonoverlapping(memory, to, kept);
                        self.dealloc(memory, layout);
                    }
                    to
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;

    use super::*;

    /// Bytes that are allocated, zeroed, grown and shrunk over the limit are kept, and large ones are aligned.
    #[test]
    fn memory_is_aligned_and_kept() {
        let largest = if cfg!(miri) { 2 << 20 } else { 100 << 20 };
        let sizes = [1, 100, LARGE - 1, LARGE, 3 * LARGE + 5, 1 << 20, largest];
        for (size, larger) in sizes.iter().flat_map(|from| sizes.map(|to| (*from, to))) {
            for align in [1, 4, LINE, 2 * LINE, LARGE] {
                let layout = Layout::from_size_align(size, align).unwrap();
                let multiple = if size >= LARGE { align.max(LINE) } else { align };
                // SAFETY: the layouts are not empty; every byte that is read was written or zeroed within its size; and each memory is
                // given back once, with its layout.
                unsafe {
                    let zeroed = CacheAligned.alloc_zeroed(layout);
                    assert!(zeroed.addr().is_multiple_of(multiple));
                    let places = || (0..size).step_by(1.max(size / 999)).chain([size - 1]);
                    assert!(places().all(|i| zeroed.add(i).read() == 0));
                    CacheAligned.dealloc(zeroed, layout);

                    let memory = CacheAligned.alloc(layout);
                    assert!(memory.addr().is_multiple_of(multiple));
                    places().for_each(|i| memory.add(i).write((i * 7) as u8));
                    let memory = CacheAligned.realloc(memory, layout, larger);
                    assert!(memory.addr().is_multiple_of(if larger >= LARGE { align.max(LINE) } else { align }));
                    assert!(places().filter(|i| *i < larger).all(|i| memory.add(i).read() == (i * 7) as u8));
                    CacheAligned.dealloc(memory, Layout::from_size_align(larger, align).unwrap());
                }
            }
        }
    }

    /// Many allocations at a time, grown in turn, so that the system moves them.
    #[test]
    fn growing_memory_keeps_its_values() {
        let layout = |size: usize| Layout::from_size_align(size, 4).unwrap();
        let mut held: Vec<(*mut u8, usize)> = Vec::new();
        for round in 1..40_usize {
            for (at, (memory, size)) in held.iter_mut().enumerate() {
                let larger = *size + 1000 * (1 + (at * 31 + round * 17) % 13);
                // SAFETY: the memory has `size` bytes, all of which are written, and gets its layout.
                unsafe {
                    *memory = CacheAligned.realloc(*memory, layout(*size), larger);
                    assert!(larger < LARGE || memory.addr().is_multiple_of(LINE));
                    assert!((0..*size).all(|i| memory.add(i).read() == (i + at) as u8));
                    (*size..larger).for_each(|i| memory.add(i).write((i + at) as u8));
                }
                *size = larger;
            }
            let size = 1 + round * 500;
            // SAFETY: every byte is written within the size.
            unsafe {
                let memory = CacheAligned.alloc(layout(size));
                (0..size).for_each(|i| memory.add(i).write((i + held.len()) as u8));
                held.push((memory, size));
            }
        }
        // SAFETY: each is given back once.
        held.into_iter().for_each(|(memory, size)| unsafe { CacheAligned.dealloc(memory, layout(size)) });
    }

    /// No memory is so large; what there was stays.
    #[test]
    fn memory_that_cannot_be_had_is_null() {
        for less in [3, 100] {
            let size = isize::MAX as usize - less;
            let layout = Layout::from_size_align(size, 1).unwrap();
            // SAFETY: the layouts are not empty, bytes that are read were written, and the memory is given back once.
            unsafe {
                // The compiler takes it that an allocation which it sees no use of succeeds.
                let none = black_box([CacheAligned.alloc(layout), CacheAligned.alloc_zeroed(layout)]);
                assert!(none.iter().all(|memory| memory.is_null()));
                let held = Layout::from_size_align(2 * LARGE, 1).unwrap();
                let memory = CacheAligned.alloc(held);
                (0..held.size()).for_each(|i| memory.add(i).write(i as u8));
                assert!(black_box(CacheAligned.realloc(memory, held, size)).is_null());
                assert!((0..held.size()).all(|i| memory.add(i).read() == i as u8));
                CacheAligned.dealloc(memory, held);
            }
        }
    }
}
