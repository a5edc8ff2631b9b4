// Asterisk 22 refreshes: see world/refreshing.mjs.

import { refreshedByAsterisk } from "../world/refreshing.mjs";

refreshedByAsterisk("22", "sid");
