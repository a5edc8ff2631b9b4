// Asterisk 16, UDP and RTP in clear: see world/matrix.mjs.

import { pbxMatrix } from "../world/matrix.mjs";

pbxMatrix("16", "bullseye", "plain");
