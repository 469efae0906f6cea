//! One number from those of the units of a cube.

use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;

/// How two numbers of a cube become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Merge {
    Sum,
    Largest,
}

/// The numbers of all units of a cube of `threads`, a power of 2, merged: the same in every unit.
#[cube]
fn merged(number: f32, #[comptime] merge: Merge, #[comptime] threads: u32) -> f32 {
    let mut numbers = SharedMemory::<f32>::new(threads as usize);
    numbers[UNIT_POS_X as usize] = number;
    sync_cube();
    #[unroll]
    for round in 0..comptime!(threads.ilog2()) {
        let half = comptime!(threads >> (round + 1));
        if UNIT_POS_X < half {
            let other = numbers[(UNIT_POS_X + half) as usize];
            if comptime!(merge == Merge::Sum) {
                numbers[UNIT_POS_X as usize] += other;
            } else if other > numbers[UNIT_POS_X as usize] {
                numbers[UNIT_POS_X as usize] = other;
            }
        }
        sync_cube();
    }
    let result = numbers[0];
    // Before the memory is written again.
    sync_cube();
    result
}

/// The sum of a number of each unit of a cube of `threads`, a power of 2, in every unit.
#[cube]
pub fn sum_of_cube(number: f32, #[comptime] threads: u32) -> f32 {
    merged(number, Merge::Sum, threads)
}

/// The largest of a number of each unit of a cube of `threads`, a power of 2, in every unit.
#[cube]
pub fn largest_of_cube(number: f32, #[comptime] threads: u32) -> f32 {
    merged(number, Merge::Largest, threads)
}
