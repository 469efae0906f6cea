//! What a module's PTX says of its kernels.

/// A kernel of a module.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Kernel {
    /// Its name.
    pub name: String,
    /// The largest block, by `.maxntid`, or the only one, by `.reqntid`.
    pub block: Option<Block>,
    /// The blocks of a cluster, by `.reqnctapercluster`.
    pub cluster: Option<[u32; 3]>,
}

/// What a kernel says of the threads of its block.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Block {
    /// Their number is at most the product.
    AtMost([u32; 3]),
    /// The block has these dimensions.
    Exactly([u32; 3]),
}

/// The kernels of a module, or `None` if the text is no PTX. Other code of the kernels is not read.
pub fn kernels(ptx: &str) -> Option<Vec<Kernel>> {
    if !ptx.lines().any(|line| line.trim_start().starts_with(".version")) {
        return None;
    }
    let entry = |text: &str| {
        let name = text.trim_start().split(|c: char| c != '_' && c != '$' && !c.is_alphanumeric()).next()?;
        // Parameters and directives come before the body.
        let head = text.split('{').next()?;
        let dimensions = |directive: &str| {
            let (_, after) = head.split_once(directive)?;
            let mut numbers = after.trim_start().split(|c: char| c != ',' && c != ' ' && !c.is_ascii_digit());
            let mut numbers = numbers.next()?.split(',').map(|number| number.trim().parse().unwrap_or(1));
            let first = numbers.next()?;
            Some([first, numbers.next().unwrap_or(1), numbers.next().unwrap_or(1)])
        };
        let block = dimensions(".reqntid").map(Block::Exactly).or(dimensions(".maxntid").map(Block::AtMost));
        Some(Kernel { name: name.to_string(), block, cluster: dimensions(".reqnctapercluster") })
    };
    Some(ptx.split(".entry").skip(1).filter_map(entry).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_are_found_with_their_directives() {
        let ptx = "
            .version 9.0
            .target sm_90a
            .visible .entry first_kernel(.param .u64 first_kernel_param_0)
            .maxntid 32, 8, 1
            { .reg .b32 %r<5>; ret; }
            .visible .entry second(
                .param .align 8 .b8 second_param_0[16]
            )
            .reqntid 128
            .explicitcluster
            .reqnctapercluster 2, 1, 1
            .minnctapersm 1
            { ret; }
            .entry third() { ret; }";
        let kernel = |name: &str, block, cluster| Kernel { name: name.into(), block, cluster };
        let expected = [
            kernel("first_kernel", Some(Block::AtMost([32, 8, 1])), None),
            kernel("second", Some(Block::Exactly([128, 1, 1])), Some([2, 1, 1])),
            kernel("third", None, None),
        ];
        assert_eq!(kernels(ptx).unwrap(), expected);
        assert_eq!(kernels("\u{7f}ELF"), None);
    }
}
