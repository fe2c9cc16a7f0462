"""``greylag facts``, ``greylag signoff``, ``greylag whatif``: what decides, who says yes, what if it were otherwise."""
