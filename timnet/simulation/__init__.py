"""Chest radiographs by physics from one real CT, with findings put in and reports written from them."""
