"""x"""


class KaggleProvider: ...
