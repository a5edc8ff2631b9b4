//! The 49 messages in the order of the RFC: what it expects of each, and what must come of it
//! here.
//!
//! Where the RFC leaves a choice (reject, or be liberal), the column says so and the outcome is
//! the choice of this gateway. It is no registrar: REGISTER ends in 405 before anything else about
//! it matters, and the values show that it was read rightly.

use trunkline::sip::Method;

/// One message.
pub struct Row {
    pub name: &'static str,
    pub section: &'static str,
    pub expected: &'static str,
    pub outcome: Outcome,
    pub stream: Stream,
    /// Names of values (see `look_up`) and what they must be.
    pub values: &'static [(&'static str, &'static str)],
}

/// What comes of a message that a trunk sends.
pub enum Outcome {
    /// 100, and the call is told.
    Rings,
    /// This final answer.
    Answered(u16),
    /// No answer; counted under this reason.
    Dropped(&'static str),
}

/// What a stream makes of it.
pub enum Stream {
    /// One message, and nothing left over that is a message.
    Whole,
    /// A second message follows.
    Followed,
    /// More of the body is waited for.
    Waits,
    /// The next message cannot be found: the head is answered, the connection ends.
    Ends,
}

impl Stream {
    pub const fn as_str(&self) -> &'static str {
        match self {
            Stream::Whole => "one message",
            Stream::Followed => "two messages",
            Stream::Waits => "waits for the body",
            Stream::Ends => "answered, then closed",
        }
    }
}

use Outcome::{Answered, Dropped, Rings};
use Stream::{Ends, Followed, Waits, Whole};

const fn row(
    name: &'static str,
    section: &'static str,
    expected: &'static str,
    outcome: Outcome,
    stream: Stream,
    values: &'static [(&'static str, &'static str)],
) -> Row {
    Row {
        name,
        section,
        expected,
        outcome,
        stream,
        values,
    }
}

pub const MESSAGES: &[Row] = &[
    row(
        "wsinv",
        "3.1.1.1",
        "valid; it names a dialog (To tag), which nobody here has: 481",
        Answered(481),
        Whole,
        &[
            ("method", "INVITE"),
            ("uri", "sip:vivekg@chair-dnrc.example.com;unknownparam"),
            ("to uri", "sip:vivekg@chair-dnrc.example.com"),
            ("to tag", "1918181833n"),
            ("from name", "J Rosenberg \\\""),
            ("from uri", "sip:jdrosen@example.com"),
            ("from tag", "98asjd8"),
            ("header Max-Forwards", "0068"),
            ("call-id", "wsinv.ndaksdj@192.0.2.1"),
            ("cseq", "9 INVITE"),
            ("vias", "3"),
            ("branch", "390skdjuw"),
            ("sent-by", "192.0.2.2"),
            ("header Subject", ""),
            (
                "header NewFangledHeader",
                "newfangled value continued newfangled value",
            ),
            ("header UnknownHeaderWithUnusualValue", ";;,,;;,;"),
            (
                "header Route",
                "<sip:services.example.com;lr;unknownwith=value;unknown-no-value>",
            ),
            ("contact name", "Quoted string \"\""),
            ("contact newparam", "newvalue"),
            ("contact secondparam", ""),
            ("contact q", "0.33"),
            ("body bytes", "150"),
        ],
    ),
    row(
        "intmeth",
        "3.1.1.2",
        "valid, with a method that nobody has: 501",
        Answered(501),
        Whole,
        &[
            ("method", "!interesting-Method0123456789_*+`.%indeed'~"),
            (
                "uri",
                "sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com",
            ),
            (
                "uri user",
                "1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*",
            ),
            ("branch", "z9hG4bK-.!%66*_+`'~"),
            ("to name", "BEL:\u{7} NUL:\0 DEL:\u{7f}"),
            (
                "to uri",
                "sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*@example.com",
            ),
            ("from name", "token1~` token2'+_ token3*%!.-"),
            ("from uri", "sip:mundane@example.com"),
            ("from fromparam''~+*_!.-%", "\"работающий\""),
            ("from tag", "_token~1'+`*%!-."),
            ("call-id", "intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{"),
            (
                "cseq",
                "139122385 !interesting-Method0123456789_*+`.%indeed'~",
            ),
            ("header Max-Forwards", "255"),
            ("header extensionHeader-!.%*+_`'~", "\u{feff}大停電"),
            ("answer Allow", Method::ALLOW),
        ],
    ),
    row(
        "esc01",
        "3.1.1.3",
        "valid",
        Rings,
        Whole,
        &[
            ("uri", "sip:sips%3Auser%40example.com@example.net"),
            ("call request user", "sips:user@example.com"),
            ("call to user", "user"),
            ("call from user", "I have spaces"),
            ("from tag", "938"),
            ("call-id", "esc01.239409asdfakjkn23onasd0-3234"),
            ("header Content-Type", "application/sdp"),
            ("contact user", "caller"),
            (
                "contact uri",
                "sip:cal%6Cer@host5.example.net;%6C%72;n%61me=v%61lue%25%34%31",
            ),
            ("call sdp bytes", "150"),
        ],
    ),
    row(
        "escnull",
        "3.1.1.4",
        "valid; %00 ends no string",
        Answered(405),
        Whole,
        &[
            ("to user", "null-\0-null"),
            ("from user", "null-\0-null"),
            ("from tag", "839923423"),
            ("contact user", "\0"),
            ("contact 2 user", "\0\0"),
            ("body bytes", "0"),
        ],
    ),
    row(
        "esc02",
        "3.1.1.5",
        "valid, with a method that is not REGISTER: 501",
        Answered(501),
        Whole,
        &[
            ("method", "RE%47IST%45R"),
            ("to name", "%Z%45"),
            ("from name", "%Z%45"),
            ("branch", "z9hG4bK209%fzsnel234"),
            ("cseq", "29344 RE%47IST%45R"),
            ("count Contact", "2"),
            ("contact uri", "sip:alias1@host1.example.com"),
            ("contact 2 uri", "sip:alias3@host3.example.com"),
            ("header C%6Fntact", "<sip:alias2@host2.example.com>"),
        ],
    ),
    row(
        "lwsdisp",
        "3.1.1.6",
        "valid",
        Answered(200),
        Whole,
        &[
            ("from name", "caller"),
            ("from uri", "sip:caller@example.com"),
            ("from tag", "323"),
            ("cseq", "60 OPTIONS"),
        ],
    ),
    row(
        "longreq",
        "3.1.1.7",
        "valid",
        Rings,
        Whole,
        &[
            (
                "to name",
                "I have a user name of extremeextremeextremeextremeextremeextremeextremeextremeextremeextreme proportion",
            ),
            (
                "call from user",
                "amazinglylongcallernameamazinglylongcallernameamazinglylongcallernameamazinglylongcallernameamazinglylongcallername",
            ),
            (
                "from tag",
                "12982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982424",
            ),
            (
                "from unknownvaluelessparamnameparamnameparamnameparamnameparamnameparamnameparamnameparamnameparamnameparamname",
                "",
            ),
            ("vias", "34"),
            ("sent-by", "sip33.example.com"),
            ("branch", ""),
            ("cseq", "3882340 INVITE"),
            ("call to user", "user"),
            ("call sdp bytes", "150"),
        ],
    ),
    row(
        "dblreq",
        "3.1.1.8",
        "valid; what follows in the datagram is not of it",
        Answered(405),
        Followed,
        &[
            ("method", "REGISTER"),
            ("to uri", "sip:j.user@example.com"),
            ("call-id", "dblreq.0ha0isndaksdj99sdfafnl3lk233412"),
            ("cseq", "8 REGISTER"),
            ("body bytes", "0"),
        ],
    ),
    row(
        "semiuri",
        "3.1.1.9",
        "valid; the semicolon is of the user part",
        Answered(200),
        Whole,
        &[
            ("uri user", "user;par=u@example.net"),
            ("to user", "j_user"),
            (
                "header Accept",
                "application/sdp, application/pkcs7-mime, multipart/mixed, multipart/signed, message/sip, message/sipfrag",
            ),
            ("sent-by", "192.0.2.1"),
        ],
    ),
    row(
        "transports",
        "3.1.1.10",
        "valid",
        Answered(200),
        Whole,
        &[
            ("vias", "5"),
            ("sent-by", "t1.example.com"),
            ("branch", "z9hG4bKkdjuw"),
            ("call-id", "transports.kijh4akdnaqjkwendsasfdj"),
        ],
    ),
    row(
        "mpart01",
        "3.1.1.11",
        "valid; multipart, where a text is text/plain: 415",
        Answered(415),
        Whole,
        &[
            ("method", "MESSAGE"),
            (
                "header Content-Type",
                "multipart/mixed;boundary=7a9cbec02ceef655",
            ),
            ("header Route", "<sip:127.0.0.1:5080>"),
            ("sent-by", "127.0.0.1:5070"),
            ("from tag", "2fb0dcc9"),
            ("body bytes", "553"),
            (
                "body start",
                "--7a9cbec02ceef655|Content-Type: text/plain|Content-Transfer-Encoding: binary||Hello",
            ),
        ],
    ),
    row(
        "unreason",
        "3.1.1.12",
        "valid; an answer to nothing that was asked",
        Dropped("stray_response"),
        Whole,
        &[
            ("status", "200"),
            ("reason", "= 2**3 * 5**2 но сто девяносто девять - простое"),
            ("cseq", "35 INVITE"),
            ("to tag", "2229"),
            ("body bytes", "154"),
        ],
    ),
    row(
        "noreason",
        "3.1.1.13",
        "valid; an answer to nothing that was asked",
        Dropped("stray_response"),
        Whole,
        &[
            ("status", "100"),
            ("reason", ""),
            ("cseq", "35 INVITE"),
            ("from tag", "39ansfi3"),
        ],
    ),
    row(
        "badinv01",
        "3.1.2.1",
        "400",
        Answered(400),
        Whole,
        &[("envelope", "header Via is missing or unreadable")],
    ),
    row(
        "clerr",
        "3.1.2.2",
        "400 to a datagram; a stream waits",
        Answered(400),
        Waits,
        &[("fault", "Some(BodyTooShort)")],
    ),
    row(
        "ncl",
        "3.1.2.3",
        "400",
        Answered(400),
        Ends,
        &[("fault", "Some(ContentLength)")],
    ),
    row(
        "scalar02",
        "3.1.2.4",
        "400, for its CSeq",
        Answered(400),
        Whole,
        &[("envelope", "header CSeq is missing or unreadable")],
    ),
    row(
        "scalarlg",
        "3.1.2.5",
        "discarded",
        Dropped("malformed_response"),
        Whole,
        &[("envelope", "header CSeq is missing or unreadable")],
    ),
    row(
        "quotbal",
        "3.1.2.6",
        "400",
        Answered(400),
        Whole,
        &[("envelope", "header To is missing or unreadable")],
    ),
    row(
        "ltgtruri",
        "3.1.2.7",
        "400, or liberal",
        Answered(400),
        Whole,
        &[("fault", "Some(StartLine)")],
    ),
    row(
        "lwsruri",
        "3.1.2.8",
        "400",
        Answered(400),
        Whole,
        &[("fault", "Some(StartLine)")],
    ),
    row(
        "lwsstart",
        "3.1.2.9",
        "400, or liberal",
        Answered(400),
        Whole,
        &[("fault", "Some(StartLine)")],
    ),
    row(
        "trws",
        "3.1.2.10",
        "400, or liberal: the spaces say nothing",
        Answered(200),
        Whole,
        &[
            ("uri", "sip:remote-target@example.com"),
            ("cseq", "238923 OPTIONS"),
            ("fault", "None"),
        ],
    ),
    row(
        "escruri",
        "3.1.2.11",
        "400, or the headers ignored",
        Answered(400),
        Whole,
        &[("uri", "sip:user@example.com?Route=%3Csip:example.com%3E")],
    ),
    row(
        "baddate",
        "3.1.2.12",
        "400, or the Date ignored",
        Rings,
        Whole,
        &[
            ("call request user", "user"),
            ("from tag", "2234923"),
            ("call sdp bytes", "150"),
        ],
    ),
    row(
        "regbadct",
        "3.1.2.13",
        "400",
        Answered(400),
        Whole,
        &[
            ("method", "REGISTER"),
            ("call-id", "regbadct.k345asrl3fdbv@10.0.0.1"),
        ],
    ),
    row(
        "badaspec",
        "3.1.2.14",
        "400, or the spaces ignored",
        Answered(200),
        Whole,
        &[
            ("to name", "Watson, Thomas"),
            ("to uri", "sip:t.watson@example.org"),
            ("from name", "Bell, Alexander"),
            ("from tag", "433423"),
        ],
    ),
    row(
        "baddn",
        "3.1.2.15",
        "400, or liberal: the quotes can be inferred",
        Answered(200),
        Whole,
        &[
            ("from name", "Bell, Alexander"),
            ("from uri", "sip:a.g.bell@example.com"),
            ("from tag", "43"),
            ("to name", "Watson, Thomas"),
            ("to uri", "sip:t.watson@example.org"),
        ],
    ),
    row(
        "badvers",
        "3.1.2.16",
        "505",
        Answered(505),
        Whole,
        &[("fault", "Some(Version)"), ("from tag", "qweoiqpe")],
    ),
    row(
        "mismatch01",
        "3.1.2.17",
        "400",
        Answered(400),
        Whole,
        &[("method", "OPTIONS"), ("cseq", "8 INVITE")],
    ),
    row(
        "mismatch02",
        "3.1.2.18",
        "400 or 501",
        Answered(400),
        Whole,
        &[("method", "NEWMETHOD"), ("cseq", "8 INVITE")],
    ),
    row(
        "bigcode",
        "3.1.2.19",
        "discarded",
        Dropped("unreadable"),
        Whole,
        &[("fault", "unreadable")],
    ),
    row(
        "badbranch",
        "3.2.1",
        "valid; the branch tells nothing apart",
        Answered(200),
        Whole,
        &[("branch", "z9hG4bK"), ("cseq", "8 OPTIONS")],
    ),
    row(
        "insuf",
        "3.3.1",
        "400",
        Answered(400),
        Whole,
        &[("envelope", "header From is missing or unreadable")],
    ),
    row(
        "unkscm",
        "3.3.2",
        "416",
        Answered(416),
        Whole,
        &[("uri", "nobodyKnowsThisScheme:totallyopaquecontent")],
    ),
    row(
        "novelsc",
        "3.3.3",
        "416",
        Answered(416),
        Whole,
        &[("uri", "soap.beep://192.0.2.103:3002")],
    ),
    row(
        "unksm2",
        "3.3.4",
        "valid; a registrar answers 404, others refuse the method",
        Answered(405),
        Whole,
        &[
            ("to uri", "isbn:2983792873"),
            ("from uri", "http://www.example.com"),
            ("from tag", "3234233"),
            ("contact uri", "name:John_Smith"),
        ],
    ),
    row(
        "bext01",
        "3.3.5",
        "420 with Unsupported",
        Answered(420),
        Whole,
        &[(
            "answer Unsupported",
            "nothingSupportsThis, nothingSupportsThisEither",
        )],
    ),
    row(
        "invut",
        "3.3.6",
        "415 with Accept",
        Answered(415),
        Whole,
        &[("answer Accept", "application/sdp"), ("body bytes", "40")],
    ),
    row(
        "regaut01",
        "3.3.7",
        "as without Authorization; others than registrars refuse the method",
        Answered(405),
        Whole,
        &[(
            "header Authorization",
            "NoOneKnowsThisScheme opaque-data=here",
        )],
    ),
    row(
        "multi01",
        "3.3.8",
        "400",
        Answered(400),
        Whole,
        &[
            ("count Call-ID", "2"),
            ("envelope", "header From is missing or unreadable"),
        ],
    ),
    row(
        "mcl01",
        "3.3.9",
        "400; a stream is closed",
        Answered(400),
        Ends,
        &[("fault", "Some(ContentLength)")],
    ),
    row(
        "bcast",
        "3.3.10",
        "discarded for its second Via",
        Dropped("response_vias"),
        Whole,
        &[("vias", "2"), ("status", "200")],
    ),
    row(
        "zeromf",
        "3.3.11",
        "483 from a proxy; the one it is meant for answers",
        Answered(200),
        Whole,
        &[("header Max-Forwards", "0"), ("cseq", "39234321 OPTIONS")],
    ),
    row(
        "cparam01",
        "3.3.12",
        "valid; the parameter is of the header",
        Answered(405),
        Whole,
        &[
            ("contact uri", "sip:+19725552222@gw1.example.net"),
            ("contact unknownparam", ""),
        ],
    ),
    row(
        "cparam02",
        "3.3.13",
        "valid; the parameter is of the URI",
        Answered(405),
        Whole,
        &[
            (
                "contact uri",
                "sip:+19725552222@gw1.example.net;unknownparam",
            ),
            ("contact unknownparam", "-"),
        ],
    ),
    row(
        "regescrt",
        "3.3.14",
        "valid; the header is of the URI",
        Answered(405),
        Whole,
        &[(
            "contact uri",
            "sip:user@example.com?Route=%3Csip:sip.example.com%3E",
        )],
    ),
    row(
        "sdp01",
        "3.3.15",
        "406: the answer may not be SDP",
        Answered(406),
        Whole,
        &[("header Accept", "text/nobodyKnowsThis")],
    ),
    row(
        "inv2543",
        "3.4.1",
        "valid, from an element of RFC 2543",
        Rings,
        Whole,
        &[
            ("branch", ""),
            ("sent-by", "iftgw.example.com"),
            ("from tag", "-"),
            ("call from user", "+13035551111"),
            ("call to user", "+16505552222"),
            ("call request user", "UserB"),
            ("call sdp bytes", "105"),
        ],
    ),
];
