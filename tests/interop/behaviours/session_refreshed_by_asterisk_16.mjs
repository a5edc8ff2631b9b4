// Asterisk 16 refreshes: see world/refreshing.mjs.

import { refreshedByAsterisk } from "../world/refreshing.mjs";

refreshedByAsterisk("16", "bullseye");
