//! How deep a JSON text is nested, known before anything recursive sees it.

/// Whether `json` nests objects and lists more than `most` deep. One pass, no stack; a text that is not JSON gets
/// some answer, and the parser refuses it later.
pub(crate) fn deeper_than(json: &[u8], most: usize) -> bool {
    let mut depth = 0_usize;
    let mut bytes = json.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'{' | b'[' => {
                depth += 1;
                if depth > most {
                    return true;
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => skip_string(&mut bytes),
            _ => {}
        }
    }
    false
}

fn skip_string(bytes: &mut std::slice::Iter<'_, u8>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return,
            // What is escaped cannot end the string.
            b'\\' => drop(bytes.next()),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_in_strings_do_not_count() {
        assert!(!deeper_than(br#"{"a[[[[":"{{{\"[[[","b":[1]}"#, 2));
        assert!(deeper_than(br#"{"a":[{}]}"#, 2));
        assert!(!deeper_than(br#"{"a":[{}],"b":[{}]}"#, 3));
    }

    #[test]
    fn a_million_levels_take_no_stack() {
        assert!(deeper_than("[".repeat(1_000_000).as_bytes(), 64));
        assert!(!deeper_than(b"\"\\", 1));
    }
}
