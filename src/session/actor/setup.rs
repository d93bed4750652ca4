//! What each stream of a conversation is opened with.

use std::sync::Arc;

use super::Shared;
use crate::{
    error::Result,
    protocol::{Message, StreamConfig},
    session::{SessionConfig, lane::LaneCredentials, stream::Stream},
    transport::{OpenRequest, Transport},
};

pub(super) struct Setup {
    transport: Arc<dyn Transport>,
    request: OpenRequest,
    pub(super) asks_overlap: bool,
    pub(super) stream: Arc<StreamConfig>,
    /// What the caller gave of an earlier conversation.
    pub(super) history: Vec<Message>,
}

impl Setup {
    pub(super) fn new(config: SessionConfig, transport: Arc<dyn Transport>, shared: &Shared) -> Self {
        let request = OpenRequest {
            model_id: config.model_id,
            regions: config.regions,
            ask: Some(Arc::new(LaneCredentials(shared.lane.clone()))),
            open_timeout: config.timeouts.open,
            patience: config.timeouts.patience,
        };
        let (stream, history) = (Arc::new(config.stream), config.history);
        Self { transport, request, asks_overlap: config.asks_overlap, stream, history }
    }

    /// Begins to open a stream.
    pub(super) fn prepare(&self) -> Result<Stream> {
        Stream::prepare(&*self.transport, self.request.clone(), self.stream.clone())
    }
}
