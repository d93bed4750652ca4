//! One exchange, user then assistant, and the few ended ones that late events may still concern.

use std::{collections::VecDeque, time::Duration};

use super::{
    Timings,
    segments::{Fit, Segments},
};

/// A FINAL comes up to 9 s after its audio, which may be two short turns later.
const MAX_ENDED: usize = 4;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reply {
    #[default]
    Awaited,
    Planned,
    Heard,
}

#[derive(Debug, Default)]
pub(super) struct Turn {
    pub(super) number: u32,
    pub(super) user: Segments,
    pub(super) assistant: Segments,
    pub(super) reply: Reply,
    /// Nothing of it is played any more, whoever wanted it so.
    pub(super) interrupted: bool,
    /// The user has finished speaking since the interruption, so what comes next is an answer to that.
    pub(super) user_spoke_since: bool,
    /// The model waits for a result before it goes on.
    pub(super) tool_running: bool,
    pub(super) timings: Timings,
    /// What the user typed, if the service may still repeat it to us.
    pub(super) echo: Option<String>,
}

impl Turn {
    /// The assistant has begun: more of the user belongs to the next turn.
    pub(super) fn replied(&self) -> bool {
        self.reply > Reply::Awaited
    }

    /// Notes that more of the reply came. False: the turn is silenced, drop it.
    pub(super) fn goes_on(&mut self, reply: Reply) -> bool {
        self.reply = self.reply.max(reply);
        self.tool_running = false;
        !self.interrupted
    }

    /// Its answer is asked for anew, by `question`, which the service may repeat to us.
    pub(super) fn begin_again(&mut self, question: String) {
        self.reply = Reply::Awaited;
        self.assistant.begin_again();
        self.tool_running = false;
        self.echo = Some(question).filter(|question| !question.is_empty());
    }

    /// Whether all that was planned has been said: some builds end no audio block with `END_TURN`.
    pub(super) fn all_said(&self) -> bool {
        self.reply == Reply::Heard && !self.tool_running && self.assistant.all_said()
    }

    /// Whether `text` repeats what was typed; true once only.
    fn take_echo(&mut self, text: &str) -> bool {
        let same = |typed: &String| typed.split_whitespace().eq(text.split_whitespace());
        self.echo.take_if(|typed| same(typed)).is_some()
    }
}

/// The running turn and the last ended ones.
#[derive(Debug, Default)]
pub(super) struct Turns {
    begun: u32,
    pub(super) current: Option<Turn>,
    ended: VecDeque<Turn>,
}

impl Turns {
    /// The next turn is the one after so many.
    pub(super) fn after(begun: u32) -> Self {
        Self { begun, ..Self::default() }
    }

    pub(super) fn begin(&mut self, timings: Timings) -> &mut Turn {
        self.begun += 1;
        self.current.insert(Turn { number: self.begun, timings, ..Turn::default() })
    }

    /// Ends the running turn; gives its number, whether it was interrupted, and its times. A turn whose reply is
    /// `still_coming` (the user typed over it) is remembered whatever its age, or its audio would be nobody's.
    pub(super) fn end(&mut self, at: Duration, still_coming: impl Fn(u32) -> bool) -> Option<(u32, bool, Timings)> {
        let mut turn = self.current.take()?;
        turn.timings.ended = Some(at);
        let ended = (turn.number, turn.interrupted, turn.timings);
        self.ended.push_back(turn);
        if self.ended.len() > MAX_ENDED
            && let Some(oldest) = self.ended.iter().position(|turn| !still_coming(turn.number))
        {
            self.ended.remove(oldest);
        }
        Some(ended)
    }

    pub(super) fn find(&mut self, number: u32) -> Option<&mut Turn> {
        self.oldest_first().find(|turn| turn.number == number)
    }

    /// Whether `text` repeats what was typed, in the running turn or one before it that has no answer yet.
    pub(super) fn take_echo(&mut self, text: &str) -> bool {
        let waiting = self.ended.iter_mut().rev().take_while(|turn| !turn.replied());
        self.current.iter_mut().chain(waiting).any(|turn| turn.take_echo(text))
    }

    /// The turn whose reply the user heard last, running or ended: what an interruption means.
    pub(super) fn last_replied(&self) -> Option<u32> {
        let newest_first = self.current.iter().chain(self.ended.iter().rev());
        newest_first.into_iter().find(|turn| turn.replied()).map(|turn| turn.number)
    }

    /// The running turn and those whose reply is `still_coming`, oldest first: what the caller may want to silence.
    pub(super) fn audible(&self, still_coming: impl Fn(u32) -> bool) -> Vec<u32> {
        let ended = self.ended.iter().map(|turn| turn.number).filter(|number| still_coming(*number));
        ended.chain(self.current.iter().map(|turn| turn.number)).collect()
    }

    /// The turn and segment that the assistant's FINAL `text` belongs to. None: no turn to belong to.
    pub(super) fn settle(&mut self, text: &str) -> Option<(u32, u32)> {
        // By its words first: the FINAL of an earlier turn may never come, and order alone would then mix turns up.
        if let Some(place) = self.settle_planned(text, Fit::Same).or_else(|| self.settle_planned(text, Fit::Cut)) {
            return Some(place);
        }
        // What an interrupted turn still owed never comes.
        let mut waiting = self.ended.back_mut().into_iter().filter(|turn| !turn.interrupted).chain(&mut self.current);
        if let Some(turn) = waiting.find(|turn| turn.assistant.has_outstanding()) {
            return turn.assistant.settle_oldest().map(|segment| (turn.number, segment));
        }
        let turn = self.current.as_mut().or_else(|| self.ended.back_mut())?;
        turn.goes_on(Reply::Planned);
        Some((turn.number, turn.assistant.add()))
    }

    /// The turn and segment whose plan fits `text`.
    pub(super) fn settle_planned(&mut self, text: &str, fit: Fit) -> Option<(u32, u32)> {
        self.oldest_first().find_map(|turn| Some((turn.number, turn.assistant.settle(text, fit)?)))
    }

    /// Gives up what the ended turns still wait for: their stream is gone.
    pub(super) fn give_up(&mut self) {
        self.oldest_first().for_each(|turn| turn.assistant.give_up());
    }

    fn oldest_first(&mut self) -> impl Iterator<Item = &mut Turn> {
        self.ended.iter_mut().chain(&mut self.current)
    }
}
