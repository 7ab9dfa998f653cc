"""Everything that can be done in the app: one table from which footer, help and palette come."""
