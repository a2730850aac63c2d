"""The diagnosis network: from any leads of ten seconds to normal or abnormal, and to what is abnormal."""
