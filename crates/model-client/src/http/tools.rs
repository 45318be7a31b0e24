//! Tool lists as JSON, written once: all requests of an agent share one list, and it is most of a small request.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use agent_executor_core::ToolSpec;

use crate::codec::Codec;

/// Lists kept: more agents than one worker runs at a time.
const MAX_LISTS: usize = 512;

type Key = (usize, usize);

#[derive(Default)]
pub(super) struct Cache(Mutex<VecDeque<Entry>>);

struct Entry {
    key: Key,
    /// Keeps the address from being used again while the entry lives, but not the tools.
    list: Weak<[ToolSpec]>,
    json: Arc<[u8]>,
}

impl Cache {
    pub(super) fn get(&self, codec: &'static dyn Codec, tools: &Arc<[ToolSpec]>) -> Arc<[u8]> {
        if tools.is_empty() {
            return Arc::default();
        }
        // Codecs without fields may share an address; their paths tell them apart.
        let key = (Arc::as_ptr(tools).cast::<ToolSpec>().addr(), codec.path().as_ptr().addr());
        if let Some(json) = self.find(key) {
            return json;
        }
        let json: Arc<[u8]> = codec.tools(tools).into();
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|entry| entry.key != key && entry.list.strong_count() > 0);
        if entries.len() >= MAX_LISTS {
            entries.pop_back();
        }
        entries.push_front(Entry { key, list: Arc::downgrade(tools), json: json.clone() });
        json
    }

    fn find(&self, key: Key) -> Option<Arc<[u8]>> {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.iter().find(|entry| entry.key == key).map(|entry| entry.json.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::OpenAiApi, providers::PROVIDERS};

    #[test]
    fn a_list_is_written_once_per_form_and_forgotten_with_its_agent() {
        let codec = |name: &str| {
            let provider = PROVIDERS.iter().find(|provider| provider.name == name).unwrap();
            (provider.codec)(OpenAiApi::Auto, false)
        };
        let spec = |name: &str| ToolSpec {
            name: name.to_owned(),
            description: String::new(),
            parameters: serde_json::json!({}),
        };
        let cache = Cache::default();
        let tools: Arc<[ToolSpec]> = vec![spec("a")].into();
        let first = cache.get(codec("openai"), &tools);
        assert!(Arc::ptr_eq(&first, &cache.get(codec("openai"), &tools)));
        assert_ne!(first, cache.get(codec("anthropic"), &tools));
        drop(tools);
        let other: Arc<[ToolSpec]> = vec![spec("b")].into();
        cache.get(codec("openai"), &other);
        assert_eq!(cache.0.lock().unwrap().len(), 1);
    }
}
