//! All legs of the user agent, and which of them a message belongs to: by Call-ID and our tag
//! (RFC 3261 section 12). The tag of the peer then finds the dialog of a leg that forked.

use std::collections::HashMap;

use super::leg::{Leg, State};
use crate::sip::stack::envelope::Envelope;
use crate::sip::stack::transaction::key::{DialogKey, KeyMap, Matching};
use crate::sip::trunk::event::LegId;

/// The legs.
#[derive(Debug)]
pub struct Dialogs {
    matching: Matching,
    legs: HashMap<LegId, Leg>,
    by_key: KeyMap<DialogKey, LegId>,
    last_id: u64,
}

impl Dialogs {
    /// No leg yet; `matching` makes the keys of their dialogs.
    pub fn new(matching: Matching) -> Self {
        Dialogs {
            matching,
            legs: HashMap::new(),
            by_key: KeyMap::default(),
            last_id: 0,
        }
    }

    /// Numbers legs from here on.
    pub fn number_from(&mut self, first: u64) {
        self.last_id = first;
    }

    /// The number of a new leg.
    pub fn next_id(&mut self) -> LegId {
        self.last_id += 1;
        LegId(self.last_id)
    }

    /// Takes a leg, which messages find from now on.
    pub fn insert(&mut self, leg: Leg) {
        let key = self.matching.dialog(&leg.call_id, &leg.local_tag);
        self.by_key.insert(key, leg.id);
        self.legs.insert(leg.id, leg);
    }

    /// Forgets a leg: no message finds it any more.
    pub fn remove(&mut self, id: &LegId) -> Option<Leg> {
        let leg = self.legs.remove(id)?;
        let key = self.matching.dialog(&leg.call_id, &leg.local_tag);
        self.by_key.remove(&key);
        Some(leg)
    }

    /// The leg with this number.
    pub fn get(&self, id: &LegId) -> Option<&Leg> {
        self.legs.get(id)
    }

    /// The same, to change.
    pub fn get_mut(&mut self, id: &LegId) -> Option<&mut Leg> {
        self.legs.get_mut(id)
    }

    /// True until the leg is forgotten.
    pub fn contains(&self, id: &LegId) -> bool {
        self.legs.contains_key(id)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.legs.len()
    }

    /// True without any.
    pub fn is_empty(&self) -> bool {
        self.legs.is_empty()
    }

    /// The numbers of all, in order.
    pub fn ids(&self) -> Vec<LegId> {
        let mut ids: Vec<LegId> = self.legs.keys().copied().collect();
        ids.sort_unstable();
        ids
    }

    /// How many incoming calls wait for their answer.
    pub fn ringing(&self) -> usize {
        let ringing = |leg: &&Leg| matches!(leg.state, State::Ringing(_));
        self.legs.values().filter(ringing).count()
    }

    /// The leg that a request of a peer is for: its To tag is ours.
    pub fn of_request(&self, envelope: &Envelope) -> Option<LegId> {
        self.find(&envelope.call_id, envelope.to.tag()?)
    }

    /// The leg with this Call-ID and this tag of ours, as a Replaces header names it (RFC 3891).
    pub fn find(&self, call_id: &str, local_tag: &str) -> Option<LegId> {
        let key = self.matching.dialog(call_id, local_tag);
        self.by_key.get(&key).copied()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::leg::Calling;
    use super::*;
    use crate::sip::stack::message::{Message, Request};
    use crate::sip::trunk::contact::ContactUser;

    fn leg(dialogs: &mut Dialogs, call_id: &str, local_tag: &str) -> LegId {
        let id = dialogs.next_id();
        let state = State::Calling(Box::new(Calling::new(Bytes::new())));
        let user = ContactUser::default();
        let (call_id, local_tag) = (call_id.to_owned(), local_tag.to_owned());
        dialogs.insert(Leg::new(id, call_id, local_tag, user, state));
        id
    }

    fn dialogs() -> Dialogs {
        Dialogs::new(Matching::new(&[7; 16]))
    }

    fn bye(call_id: &str, to_tag: &str) -> Envelope {
        let text = format!(
            "BYE sip:a@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.2;branch=z9hG4bK1\r\n\
             From: <sip:600@192.0.2.2>;tag=theirs\r\nTo: <sip:a@192.0.2.1>{to_tag}\r\n\
             Call-ID: {call_id}\r\nCSeq: 2 BYE\r\n\r\n"
        );
        let received = Message::read(&Bytes::from(text)).expect("readable");
        let Message::Request(Request { headers, .. }) = received.message else {
            panic!("a request");
        };
        Envelope::read(&headers).expect("an envelope")
    }

    #[test]
    fn request_finds_the_leg_by_call_id_and_our_tag() {
        let mut all = dialogs();
        let first = leg(&mut all, "c1", "ours");
        let second = leg(&mut all, "c1", "other");
        assert_eq!(all.of_request(&bye("c1", ";tag=ours")), Some(first));
        assert_eq!(all.of_request(&bye("c1", ";tag=other")), Some(second));
        assert_eq!(all.of_request(&bye("c2", ";tag=ours")), None);
        assert_eq!(all.of_request(&bye("c1", ";tag=theirs")), None);
        assert_eq!(all.of_request(&bye("c1", "")), None);
    }

    #[test]
    fn removed_leg_is_found_by_no_message() {
        let mut all = dialogs();
        let id = leg(&mut all, "c1", "ours");
        let removed = all.remove(&id).expect("it is there");
        assert_eq!((removed.id, all.find("c1", "ours")), (id, None));
        assert!(all.is_empty() && !all.contains(&id));
        all.insert(removed);
        assert_eq!(all.find("c1", "ours"), Some(id));
    }

    #[test]
    fn legs_are_numbered_on_from_the_first_number() {
        let mut all = dialogs();
        all.number_from(1_000);
        let ids = [leg(&mut all, "c1", "a"), leg(&mut all, "c2", "b")];
        assert_eq!(ids, [LegId(1_001), LegId(1_002)]);
        assert_eq!((all.ids(), all.len()), (ids.to_vec(), 2));
    }
}
