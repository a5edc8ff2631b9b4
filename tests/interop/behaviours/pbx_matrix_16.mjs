// Asterisk 16: see world/matrix.mjs.

import { pbxMatrix } from "../world/matrix.mjs";

pbxMatrix("16", "bullseye");
