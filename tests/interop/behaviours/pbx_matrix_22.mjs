// Asterisk 22: see world/matrix.mjs.

import { pbxMatrix } from "../world/matrix.mjs";

pbxMatrix("22", "sid");
