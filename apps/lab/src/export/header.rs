//! Sorted metadata in the header of a safetensors file.

use std::collections::BTreeMap;

/// Adds metadata to the contents of a safetensors file that has none. The metadata is sorted by key, so that equal exports have
/// equal bytes; the `safetensors` crate writes a hash map in arbitrary order.
///
/// The file consists of the length of the header in eight bytes, the header (JSON, padded with spaces to a multiple of eight
/// bytes), and the tensors, whose offsets are relative to the end of the header.
pub fn with_metadata(file: &[u8], metadata: &BTreeMap<&str, String>) -> Vec<u8> {
    let (length, rest) = file.split_first_chunk::<8>().expect("a file starts with eight bytes");
    let (header, tensors) = rest.split_at(u64::from_le_bytes(*length) as usize);
    let entries = header.strip_prefix(b"{").expect("a header is a JSON object").trim_ascii_end();
    let metadata = serde_json::to_string(metadata).expect("texts make valid JSON");
    let comma = if entries == b"}" { "" } else { "," };
    let mut header = [b"{\"__metadata__\":", metadata.as_bytes(), comma.as_bytes(), entries].concat();
    header.resize(header.len().next_multiple_of(8), b' ');
    [&(header.len() as u64).to_le_bytes()[..], &header, tensors].concat()
}

#[cfg(test)]
mod tests {
    use safetensors::SafeTensors;
    use safetensors::tensor::{Dtype, TensorView};

    use super::*;

    #[test]
    fn adding_metadata_keeps_the_tensors() {
        let values: Vec<u8> = (0..24).collect();
        let tensors = [("b", 0..16), ("a", 16..24)];
        let views = tensors
            .clone()
            .map(|(name, part)| (name, TensorView::new(Dtype::F32, vec![part.len() / 4], &values[part]).unwrap()));
        let texts = BTreeMap::from([("z", "\"1\"\n".to_string()), ("a", "é".to_string())]);
        let file = with_metadata(&safetensors::serialize(views, None).unwrap(), &texts);
        let read = SafeTensors::deserialize(&file).unwrap();
        for (name, part) in tensors {
            assert_eq!(read.tensor(name).unwrap().data(), &values[part]);
        }
        let (_, header) = SafeTensors::read_metadata(&file).unwrap();
        let found: BTreeMap<_, _> = header.metadata().clone().unwrap().into_iter().collect();
        assert!(found.iter().map(|(key, text)| (key.as_str(), text)).eq(texts.iter().map(|(key, text)| (*key, text))));
        assert!(file[8..].starts_with(br#"{"__metadata__":{"a":"#));

        let empty = safetensors::serialize(Vec::<(&str, TensorView)>::new(), None).unwrap();
        assert!(SafeTensors::deserialize(&with_metadata(&empty, &texts)).unwrap().is_empty());
    }
}
