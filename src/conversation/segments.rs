//! The sentences of one speaker in one turn: planned (SPECULATIVE), then said (FINAL), under one number.

use std::collections::VecDeque;

/// Plans that wait for their FINAL. After barge-in it never comes, so the oldest is given up beyond this.
const MAX_OUTSTANDING: usize = 256;

/// How surely a FINAL belongs to a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    Same,
    /// The FINAL is the beginning of the plan: barge-in cut the sentence there.
    Cut,
}

#[derive(Debug)]
struct Plan {
    segment: u32,
    text: String,
}

#[derive(Debug, Default)]
pub(super) struct Segments {
    count: u32,
    outstanding: VecDeque<Plan>,
    planned_any: bool,
}

impl Segments {
    /// Numbers a sentence that may still be replaced.
    pub(super) fn plan(&mut self, text: &str) -> u32 {
        if self.outstanding.len() == MAX_OUTSTANDING {
            self.outstanding.pop_front();
        }
        let segment = self.add();
        self.outstanding.push_back(Plan { segment, text: text.trim().to_owned() });
        self.planned_any = true;
        segment
    }

    /// Numbers a sentence that nobody planned.
    pub(super) fn add(&mut self) -> u32 {
        let segment = self.count;
        self.count += 1;
        segment
    }

    /// Takes the first plan that fits `text`.
    pub(super) fn settle(&mut self, text: &str, fit: Fit) -> Option<u32> {
        let text = text.trim();
        let at = self.outstanding.iter().position(|plan| match fit {
            Fit::Same => plan.text == text,
            Fit::Cut => !text.is_empty() && plan.text.starts_with(text),
        })?;
        self.outstanding.remove(at).map(|plan| plan.segment)
    }

    /// Takes the plan that waits longest: the service keeps the order, even where its FINAL words a sentence anew.
    pub(super) fn settle_oldest(&mut self) -> Option<u32> {
        self.outstanding.pop_front().map(|plan| plan.segment)
    }

    pub(super) fn has_outstanding(&self) -> bool {
        !self.outstanding.is_empty()
    }

    /// Whether there were plans and each has its FINAL.
    pub(super) fn all_said(&self) -> bool {
        self.planned_any && self.outstanding.is_empty()
    }

    /// Other sentences take the place of those so far, under numbers of their own.
    pub(super) fn begin_again(&mut self) {
        self.outstanding.clear();
        self.planned_any = false;
    }

    /// No FINAL can come any more.
    pub(super) fn give_up(&mut self) {
        self.outstanding.clear();
    }
}
