"""Charts: a table goes in, a plotly figure comes out. No Streamlit, no torch, no reading of files."""
