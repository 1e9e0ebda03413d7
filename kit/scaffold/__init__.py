"""What `kit new` knows: find the files, infer `kit.toml` from them, write the folder.

Read in this order: `infer` (the story), `files`, `roles`, `kinds`, `look`, `task`, `validation`;
then `render` and `write`.
"""
