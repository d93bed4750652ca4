//! The rooms under attack, by path: what a client or a service may send, without the parts that carry it.

#![allow(dead_code, unused_imports, unreachable_pub)] // each room brings more than the targets call

#[path = "../../src/protocol/mod.rs"]
pub mod protocol;

#[path = "../../src/emulator"]
pub mod emulator {
    mod frames;
    mod incoming;
    mod input;
    mod rules;

    /// What `rules` takes of the real one.
    mod settings {
        #[derive(Debug, Clone, Default, PartialEq, Eq)]
        pub enum ToolChoice {
            #[default]
            Auto,
            Any,
            Tool(String),
        }
    }

    /// Signatures are not checked here: bytes that a fuzzer writes never pass.
    mod signature {
        pub(super) enum EventChain {}

        impl EventChain {
            pub(super) fn verify(
                &mut self,
                _date: &[u8],
                _ms: i64,
                _payload: &[u8],
                _signature: &[u8],
                _now: time::OffsetDateTime,
            ) -> Result<(), String> {
                match *self {}
            }
        }
    }

    /// The order rules as a judge of our client.
    pub struct Judge(rules::Rules);

    impl Default for Judge {
        fn default() -> Self {
            Self(rules::Rules::new())
        }
    }

    impl Judge {
        pub fn tool_called(&mut self, id: &str) {
            self.0.tool_called(id);
        }

        /// The refusal, if the event is not legal now.
        pub fn refusal(&mut self, event: &[u8]) -> Option<String> {
            match input::Event::parse(event) {
                Ok(event) => self.0.accept(&event).err().map(|refusal| refusal.0),
                Err(error) => Some(error.to_string()),
            }
        }
    }

    /// Reads `data`, cut into DATA frames of `cut` bytes, as a stream does; gives the events in it, up to the first
    /// thing that ends the stream.
    pub fn read(data: &[u8], cut: usize) -> (Vec<Vec<u8>>, bool) {
        let (mut assembler, mut events) = (frames::Assembler::default(), Vec::new());
        for piece in data.chunks(cut.max(1)) {
            assembler.push(bytes::Bytes::copy_from_slice(piece));
            loop {
                match assembler.next() {
                    Ok(Some(message)) => match event_of(&message) {
                        Some(event) => events.push(event),
                        None => return (events, false),
                    },
                    Ok(None) => break,
                    Err(_) => return (events, false),
                }
            }
        }
        (events, true)
    }

    fn event_of(message: &[u8]) -> Option<Vec<u8>> {
        let mut event = Vec::new();
        match incoming::unseal(None, message, time::Duration::ZERO) {
            Ok(Some(chunk)) => incoming::decode_chunk(&chunk, &mut event).ok()?,
            Ok(None) => {}
            Err(_) => return None,
        }
        Some(event)
    }

    /// One event, framed as the emulator frames what it says.
    pub fn framed(event: &[u8]) -> Vec<u8> {
        let mut out = bytes::BytesMut::new();
        frames::put_chunk(&mut out, event);
        out.to_vec()
    }
}
