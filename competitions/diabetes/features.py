"""Columns of our own, made row by row. Why these two: see NOTES.md."""


def features(df):
    """Body mass index with what makes it matter: blood pressure, and triglycerides (s5, a log)."""
    df["bmi_bp"] = df["bmi"] * df["bp"]
    df["bmi_s5"] = df["bmi"] * df["s5"]
    return df
