//! Every implementation runs the suite: the scripted model, and the HTTP client with each API.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use agent_executor_core::{ModelError, ModelRef, ModelReply, ModelRequest};
use agent_model_client::{Answer, HttpClient, ModelClient, OnDelta, Scripted, conformance::Harness};
use async_trait::async_trait;

use crate::{
    render::{Api, script},
    server::{Server, responses},
};

struct OfScripts;

#[async_trait]
impl Harness for OfScripts {
    type Client = Scripted;

    async fn client(&self, answers: Vec<Answer>) -> Scripted {
        let answers = Mutex::new(VecDeque::from(answers));
        Scripted::new(move |_| {
            Ok(answers.lock().unwrap_or_else(PoisonError::into_inner).pop_front().unwrap_or_default())
        })
    }

    fn model(&self) -> ModelRef {
        ModelRef { provider: "scripted".to_owned(), model: "script".to_owned() }
    }
}

/// A client together with the server that it asks.
struct WithServer {
    client: HttpClient,
    _server: Server,
}

#[async_trait]
impl ModelClient for WithServer {
    async fn complete(
        &self,
        request: &ModelRequest,
        on_delta: OnDelta<'_>,
    ) -> Result<ModelReply, ModelError> {
        self.client.complete(request, on_delta).await
    }
}

struct OverHttp(Api, &'static str);

#[async_trait]
impl Harness for OverHttp {
    type Client = WithServer;

    async fn client(&self, answers: Vec<Answer>) -> WithServer {
        let server = Server::start(answers.iter().map(|answer| script(self.0, answer)).collect()).await;
        let client = server.client(|config| {
            config.retry.retries = 0;
            if matches!(self.0, Api::Responses) {
                responses(config);
            }
        });
        WithServer { client, _server: server }
    }

    fn model(&self) -> ModelRef {
        ModelRef { provider: self.1.to_owned(), model: "m".to_owned() }
    }
}

mod scripted {
    agent_model_client::model_conformance!(super::OfScripts);
}

mod openai_chat {
    agent_model_client::model_conformance!(super::OverHttp(super::Api::Chat, "openai"));
}

mod openai_responses {
    agent_model_client::model_conformance!(super::OverHttp(super::Api::Responses, "openai"));
}

mod anthropic {
    agent_model_client::model_conformance!(super::OverHttp(super::Api::Messages, "anthropic"));
}

mod ollama {
    agent_model_client::model_conformance!(super::OverHttp(super::Api::Chat, "ollama"));
}
