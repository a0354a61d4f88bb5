"""A farm's fields: harvests read and cleaned, and from there labels; zones, rates and reports go out from here, too."""
