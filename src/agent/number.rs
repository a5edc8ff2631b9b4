//! The numbers that the built-in agent answers.

/// The name of the trunk that leads to the agent. No trunk of the configuration may have it.
pub const TRUNK: &str = "built-in";

/// A number that the agent answers, or refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Number {
    /// Sends back what it hears.
    Echo,
    /// Plays a tone.
    Tone,
    /// Plays each digit that it is sent as tones.
    Digits,
    /// Is busy.
    Busy,
    /// Rings and never answers.
    Ring,
    /// Hangs up and calls back.
    Callback,
}

impl Number {
    /// Every number, in the order in which the page shows them.
    pub const ALL: [Number; 6] = [
        Number::Echo,
        Number::Tone,
        Number::Digits,
        Number::Callback,
        Number::Busy,
        Number::Ring,
    ];

    /// What is dialled.
    pub const fn dialled(self) -> &'static str {
        match self {
            Number::Echo => "echo",
            Number::Tone => "tone",
            Number::Digits => "digits",
            Number::Busy => "busy",
            Number::Ring => "ring",
            Number::Callback => "callback",
        }
    }

    /// What happens, for people.
    pub const fn description(self) -> &'static str {
        match self {
            Number::Echo => "Hear yourself",
            Number::Tone => "A steady tone of 1000 Hz",
            Number::Digits => "Reads your digits back as tones",
            Number::Busy => "Is always busy",
            Number::Ring => "Rings and never answers",
            Number::Callback => "Hangs up and calls you back",
        }
    }

    /// The number that was dialled.
    pub fn from_dialled(dialled: &str) -> Option<Number> {
        Number::ALL
            .into_iter()
            .find(|number| number.dialled() == dialled)
    }
}
