// Asterisk 22, UDP and RTP in clear: see world/matrix.mjs.

import { pbxMatrix } from "../world/matrix.mjs";

pbxMatrix("22", "sid", "plain");
