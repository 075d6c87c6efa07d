"""Geography and data flow, from archives to published figures; each room knows only those before it.

ground → imagery → encoding → editions, labelled → tiles → statistics, estimators → sampling → reporting.
"""

if __name__ == "transforms":
    raise ImportError("the package is stook: import stook.transforms")
