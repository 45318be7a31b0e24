//! x
use crate::Message;
pub(crate) fn same_fields(_raw: &[u8], _message: &Message) -> bool {
    false
}
