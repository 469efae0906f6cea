/// Why bytes are not a pickle, or not one that is read here. Offsets are in bytes from the start of the pickle.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PickleError {
    /// The bytes end before the pickle does.
    #[error("it ends in the middle: unexpected EOF at offset {offset}")]
    Cut {
        /// Where the instruction that is cut off begins.
        offset: usize,
    },
    /// An instruction that takes a buffer from outside of the pickle.
    #[error(
        "it has the data of an array in a separate buffer (protocol 5 with `buffer_callback`) at offset {offset}; pickle it again \
         without `buffer_callback`"
    )]
    OutsideBuffer {
        /// Where the instruction is.
        offset: usize,
    },
    /// An instruction that Python's pickles do not have, or one for classes that the extension registry numbers.
    #[error("its instruction {code:#04x} at offset {offset} is not supported")]
    Instruction {
        /// The byte of the instruction.
        code: u8,
        /// Where it is.
        offset: usize,
    },
    /// A protocol later than 5.
    #[error("its protocol is {protocol} at offset {offset}, expected 0 to 5")]
    Protocol {
        /// The protocol that the pickle announces.
        protocol: u8,
        /// Where it does.
        offset: usize,
    },
    /// An instruction that does not fit what is on the stack, or whose text does not say what it should.
    #[error("it is inconsistent at offset {offset}: expected {expected}")]
    Inconsistent {
        /// What the instruction needs.
        expected: &'static str,
        /// Where the instruction is.
        offset: usize,
    },
    /// The pickle needs more memory than it may.
    #[error("it makes more than {limit} values at offset {offset}")]
    TooLarge {
        /// The limit given to [`Pickle::read`](crate::Pickle::read).
        limit: usize,
        /// The instruction that exceeds it.
        offset: usize,
    },
}
