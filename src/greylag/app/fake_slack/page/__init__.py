"""The page to type and click in, and the same as JSON for programs. It never shows what somebody wrote as markup."""
