"""The app's entry: the server, and on each visit one frame with its pages."""

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

if get_script_run_ctx(suppress_warning=True) is None:
    # `streamlit run` imports this file once for the server; for every visit it runs it as a script.
    from timnet.ui import server

    app = st.App(__file__, middleware=server.MIDDLEWARE, lifespan=server.lifespan)
else:
    from timnet.ui import frame

    frame.draw().run()
