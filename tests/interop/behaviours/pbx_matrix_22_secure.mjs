// Asterisk 22, TLS and SDES: see world/matrix.mjs.

import { pbxMatrix } from "../world/matrix.mjs";

pbxMatrix("22", "sid", "secure");
