//! The built-in numbers.

/// The name of the trunk that leads to the built-in numbers. No trunk of the configuration may have it.
pub const TRUNK: &str = "built-in";

/// A number that the gateway answers itself, or refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuiltInNumber {
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

impl BuiltInNumber {
    /// Every number, in the order in which the page shows them.
    pub const ALL: [BuiltInNumber; 6] = [
        BuiltInNumber::Echo,
        BuiltInNumber::Tone,
        BuiltInNumber::Digits,
        BuiltInNumber::Callback,
        BuiltInNumber::Busy,
        BuiltInNumber::Ring,
    ];

    /// What is dialled.
    pub const fn dialled(self) -> &'static str {
        match self {
            BuiltInNumber::Echo => "echo",
            BuiltInNumber::Tone => "tone",
            BuiltInNumber::Digits => "digits",
            BuiltInNumber::Busy => "busy",
            BuiltInNumber::Ring => "ring",
            BuiltInNumber::Callback => "callback",
        }
    }

    /// What happens, for people.
    pub const fn description(self) -> &'static str {
        match self {
            BuiltInNumber::Echo => "Hear yourself",
            BuiltInNumber::Tone => "A steady tone of 1000 Hz",
            BuiltInNumber::Digits => "Reads your digits back as tones",
            BuiltInNumber::Busy => "Is always busy",
            BuiltInNumber::Ring => "Rings and never answers",
            BuiltInNumber::Callback => "Hangs up and calls you back",
        }
    }

    /// The number that was dialled.
    pub fn from_dialled(dialled: &str) -> Option<BuiltInNumber> {
        BuiltInNumber::ALL
            .into_iter()
            .find(|number| number.dialled() == dialled)
    }
}
