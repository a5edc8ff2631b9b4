// Asterisk 16, TLS and SDES: see world/matrix.mjs.

import { pbxMatrix } from "../world/matrix.mjs";

pbxMatrix("16", "bullseye", "secure");
