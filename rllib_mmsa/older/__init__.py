"""What older versions wrote, and how it is read today: moved modules, options that are gone."""
