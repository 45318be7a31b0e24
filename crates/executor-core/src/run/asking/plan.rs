//! What an agent sends to its model: the conversation as it stands, or made smaller where it does not fit or was
//! refused.

use std::sync::Arc;

use agent_langgraph_codec as codec;
use agent_langgraph_codec::{Files, Message};

use super::{Asking, Next, Stage, Summarising, Written};
use crate::context::event::{self, SummaryEvent};
use crate::context::tokens::{self, Counter};
use crate::context::{Bound, Limits, clip, cut, media, summary, truncate, user, xml};
use crate::ids::Ids;
use crate::run::{Agent, Failure};
use crate::{ModelOptions, ModelRequest, Purpose};

impl Agent {
    /// Begins the step.
    pub(super) fn begin_asking(
        &self,
        message_id: String,
        options: ModelOptions,
        ids: &mut Ids,
    ) -> (Asking, Next) {
        let mut base = self.patched.clone().unwrap_or_else(|| self.graph.messages.clone());
        let mut written = Written::default();
        let now = codec::iso_timestamp(ids.now_ns());
        let limits = &self.spec.limits;
        if let Some(moved) = user::move_large(&mut base, limits.large_user_message, &ids.uuid(), &now) {
            written.files.insert(moved.path, Arc::new(moved.file));
            written.replaced.push(moved.message);
        }
        user::show_pointers(&mut base);
        let stored = base.len();
        let mut asking = Asking { message_id, stored, base, written, ..Asking::default() };
        let next = self.plan(&mut asking, options, ids);
        (asking, next)
    }

    /// From the messages to the first request.
    fn plan(&self, asking: &mut Asking, options: ModelOptions, ids: &mut Ids) -> Next {
        let limits = &self.spec.limits;
        let mut messages = match SummaryEvent::of(&self.graph.values) {
            Some(event) => event.apply(&asking.base),
            None => asking.base.clone(),
        };
        let mut total = self.count(&messages);
        if let Some(rule) = &limits.shorten
            && truncate::arguments(&mut messages, total, rule, Counter::new(limits))
        {
            total = self.count(&messages);
        }
        let due =
            limits.summarise.is_some_and(|rule| due(rule.at, &messages, total, &self.spec.model.provider));
        if due || over(limits, total) {
            return self.compact(asking, messages, None, options, ids);
        }
        asking.stage = Stage::Plain { sent: messages.clone() };
        self.answer(messages, options)
    }

    /// Makes the conversation smaller: by a summary where something can be cut, else at its end. `rejected`: tokens of
    /// the request that the provider did not take.
    fn compact(
        &self,
        asking: &mut Asking,
        messages: Vec<Arc<Message>>,
        rejected: Option<u64>,
        options: ModelOptions,
        ids: &mut Ids,
    ) -> Next {
        let limits = &self.spec.limits;
        let keep = limits.summarise.map(|rule| rule.keep);
        let cut = keep.map_or(0, |keep| cut::for_summary(&messages, keep, Counter::new(limits)));
        let Some((old, kept)) = messages.split_at_checked(cut).filter(|_| cut > 0) else {
            return self.send(asking, messages, rejected, options, ids);
        };
        let now = codec::iso_timestamp(ids.now_ns());
        let (old, media) = media::move_inline(old, &now);
        asking.written.files.extend(media.into_iter().map(|(path, file)| (path, Arc::new(file))));
        let session = event::session_of(&self.graph.values).unwrap_or_else(|| summary::session(&ids.uuid()));
        let (file_path, history) = summary::history(&self.graph.files, &session, &old, &now);
        asking.written.files.insert(file_path.clone(), Arc::new(history));
        let cutoff = match SummaryEvent::of(&self.graph.values) {
            // The earlier summary is one of the messages that are cut, and none of the stored ones.
            Some(earlier) => (earlier.cutoff + cut).saturating_sub(1),
            None => cut,
        };
        let conversation = xml::conversation(old.iter());
        let next = self.summary(&conversation, options);
        let kept = kept.iter().map(event::without_reasoning).collect();
        asking.stage = Stage::Summary(Box::new(Summarising {
            cutoff,
            kept,
            conversation,
            session,
            file_path,
            rejected,
            shortened: false,
        }));
        next
    }

    /// Sends the conversation; before that it is clipped where it is too long or was rejected. Never the same request
    /// twice, and none that is known not to fit.
    fn send(
        &self,
        asking: &mut Asking,
        mut messages: Vec<Arc<Message>>,
        rejected: Option<u64>,
        options: ModelOptions,
        ids: &mut Ids,
    ) -> Next {
        let limits = &self.spec.limits;
        let mut clipped = false;
        if rejected.is_some() || over(limits, self.count(&messages)) {
            let now = codec::iso_timestamp(ids.now_ns());
            if let Some(made) = clip::tail(&messages, &self.files_with(&asking.written), &now) {
                messages = made.messages;
                let files = made.files.into_iter().map(|(path, file)| (path, Arc::new(file)));
                asking.written.files.extend(files);
                asking.written.clipped.extend(made.replaced);
                clipped = true;
            }
            let count = self.count(&messages);
            if rejected.is_some_and(|rejected| count >= rejected) {
                return Next::Fail(exhausted());
            }
            if over(limits, count) {
                return Next::Fail(too_long(
                    "Context remains above the input budget after compaction; reduce input, tools, or configured \
                     output tokens.",
                ));
            }
        }
        asking.stage = Stage::Reduced { sent: messages.clone(), exhausted: rejected.is_some() || clipped };
        self.answer(messages, options)
    }

    /// The provider did not take the request because it is too long. `None`: nothing can be done about it.
    pub(super) fn after_overflow(
        &self,
        asking: &mut Asking,
        options: ModelOptions,
        ids: &mut Ids,
    ) -> Option<Next> {
        match std::mem::take(&mut asking.stage) {
            Stage::Plain { sent } => {
                let rejected = self.count(&sent);
                Some(self.compact(asking, sent, Some(rejected), options, ids))
            }
            Stage::Reduced { exhausted: true, .. } => Some(Next::Fail(exhausted())),
            Stage::Reduced { sent, exhausted: false } => {
                let rejected = self.count(&sent);
                Some(self.send(asking, sent, Some(rejected), options, ids))
            }
            Stage::Summary(state) if state.shortened => None,
            Stage::Summary(mut state) => {
                let shorter = summary::without_middle(&state.conversation, &self.spec.limits)?;
                let next = self.summary(&shorter, options);
                state.shortened = true;
                asking.stage = Stage::Summary(state);
                Some(next)
            }
        }
    }

    /// The provider refused the request: once, what was read since the last answer and is no text is taken out.
    pub(super) fn after_refusal(
        &self,
        asking: &mut Asking,
        options: ModelOptions,
        ids: &mut Ids,
    ) -> Option<Next> {
        if asking.media_taken_out {
            return None;
        }
        let base = media::without_rejected(&asking.base)?;
        let changed = base.iter().zip(&asking.base).filter(|(now, before)| !Arc::ptr_eq(now, before));
        asking.written.replaced.extend(changed.map(|(now, _)| now.clone()));
        asking.base = base;
        asking.media_taken_out = true;
        Some(self.plan(asking, options, ids))
    }

    /// The summary is there: the step goes on with it in place of what it stands for.
    pub(super) fn after_summary(
        &self,
        asking: &mut Asking,
        state: Summarising,
        reply: &Message,
        options: ModelOptions,
        ids: &mut Ids,
    ) -> Next {
        let text = reply.text("");
        let message = Arc::new(summary::message(text.trim(), Some(&state.file_path)));
        let made = SummaryEvent {
            cutoff: state.cutoff,
            message: message.clone(),
            file_path: Some(state.file_path),
            created_at: Some(asking.stored),
        };
        asking.written.summary = Some((made, state.session));
        let messages = std::iter::once(message).chain(state.kept).collect();
        self.send(asking, messages, state.rejected, options, ids)
    }

    fn answer(&self, messages: Vec<Arc<Message>>, options: ModelOptions) -> Next {
        let request = ModelRequest {
            model: self.spec.model.clone(),
            system: Some(self.spec.system.clone()),
            messages,
            tools: self.spec.offered.clone(),
            max_output_tokens: self.spec.limits.max_output,
            response_format: self.spec.structured.as_ref().map(|form| form.request()),
            options: ModelOptions { prompt_caching: self.spec.limits.prompt_caching, ..options },
        };
        Next::Ask(Purpose::Answer, Box::new(request))
    }

    fn summary(&self, conversation: &str, options: ModelOptions) -> Next {
        let limits = &self.spec.limits;
        let request = ModelRequest {
            model: limits.summary_model.clone().unwrap_or_else(|| self.spec.model.clone()),
            system: None,
            messages: vec![Arc::new(summary::request(limits, conversation))],
            tools: Vec::new().into(),
            max_output_tokens: limits.max_output,
            response_format: None,
            // No later request begins like this one.
            options: ModelOptions { prompt_caching: false, ..options },
        };
        Next::Ask(Purpose::Summary, Box::new(request))
    }

    fn count(&self, messages: &[Arc<Message>]) -> u64 {
        let messages = messages.iter().map(Arc::as_ref);
        Counter::new(&self.spec.limits).request(&self.spec.system, messages, self.spec.tool_chars)
    }

    /// The files as they will be once the step is stored.
    fn files_with(&self, written: &Written) -> Files {
        let mut files = Files::clone(&self.graph.files);
        files.extend(written.files.iter().map(|(path, file)| (path.clone(), file.clone())));
        files
    }
}

/// Whether a summary is due: by the estimate, or by what the model's provider reported with its last answer.
fn due(at: Bound, messages: &[Arc<Message>], total: u64, provider: &str) -> bool {
    match at {
        Bound::Messages(at) => messages.len() >= at,
        Bound::Tokens(at) => {
            total >= at || reported(messages, provider).is_some_and(|reported| reported > 0 && reported >= at)
        }
    }
}

fn reported(messages: &[Arc<Message>], provider: &str) -> Option<u64> {
    let last = messages.iter().rev().find_map(|message| match &message.kind {
        codec::Kind::Ai { usage_metadata, .. } => Some((message, usage_metadata)),
        codec::Kind::Human
        | codec::Kind::System
        | codec::Kind::Tool { .. }
        | codec::Kind::Remove
        | codec::Kind::Chat { .. }
        | codec::Kind::Function => None,
    });
    let (message, usage) = last?;
    let own = tokens::model_provider(message) == Some(provider);
    usage.as_ref().filter(|_| own)?.get("total_tokens")?.as_u64()
}

fn over(limits: &Limits, total: u64) -> bool {
    limits.budget.is_some_and(|budget| total > budget)
}

fn exhausted() -> Failure {
    too_long(
        "Model input still does not fit after recovery; reduce input, tools, or configured output tokens.",
    )
}

fn too_long(message: &str) -> Failure {
    Failure { kind: "ExecutionError", code: "model.context_overflow", message: message.to_owned() }
}
