"""The vendor's "simple application" (seed 003), with the lines that its page lost: run as `python example.py PICTURE`.

`__…__` are replaced by the test, as a reader of the page replaces them; the device and datapoint that he is "interested in" too.
"""

import sys

import matplotlib.pyplot as plt
import pandas as pd
from oauthlib.oauth2 import LegacyApplicationClient
from requests_oauthlib import OAuth2Session

# OAuth Client
client_id = "__ClientIDPlaceHolder__"
client_secret = "__ClientSecretPlaceHolder__"
# OAuth user
user = "__UserPlaceHolder__"
passwd = "__PasswordPlaceHolder__"

# shorthand url
cloud = "https://cloud.belimo.com"
oauth = OAuth2Session(client=LegacyApplicationClient(client_id=client_id))
token = oauth.fetch_token(
    token_url="https://id.belimo.com/oauth/token",
    username=user,
    password=passwd,
    client_id=client_id,
    client_secret=client_secret,
    include_client_id=True,
    audience="https://api.cloud.belimo.com/",
    scope=["public.read", "offline_access", "read:dataprofile"],
)

print(oauth.get(url=cloud + "/api/v3/devices/stats").json())

params = {
    "state": "REGISTERED",  # only get registered devices
    "limit": "100",  # page size
}
# call API and print information
for device in oauth.get(url=cloud + "/api/v3/devices", params=params).json()["data"]:
    if "Heizung" in device["displayName"]:  # german word for 'Heating'
        print("id: " + device["id"])
        print("name: " + device["displayName"])
        print("dataprofile: " + device["dataprofile"]["entityId"])
        deviceid = device["id"]
        dataprofileid = device["dataprofile"]["entityId"]

dataprofiledef = oauth.get(url=cloud + "/api/v3/definitions/dataprofiles/" + dataprofileid).json()
# Extract relevant datapoints
# Let's say we are interested in energy consumption
print("Energy related datapoints:")
for dp in dataprofiledef["datapoints"]:
    if "Energy" in dp["featureValues"]["default.description"]:  # get those datapoints which are related to Energy
        print("id: " + dp["id"])
        print("description: " + dp["featureValues"]["default.description"])

# Current state
state = oauth.get(url=cloud + "/api/v3/devices/" + deviceid).json()
print(state["state"]["datapoints"]["__DataPoint__"])
# Set parameters to access the historical data
params = {
    "datapointIds": "__DataPoint__",
    "resolution": "1d",
    "from": "2017-12-01T00:00:00Z",
    "to": "2018-12-01T00:00:00Z",
}
data = oauth.get(url=cloud + "/api/v3/devices/" + deviceid + "/data/history/timeseries", params=params).json()
# construct pandas DataFrame from data
heatingEnergy = pd.DataFrame(data["series"][0]["values"])  # noqa: N816
# convert timestamp to pandas datetime
heatingEnergy["timestamp"] = pd.to_datetime(heatingEnergy.timestamp)
# Energy is cumulative -- here we compute the difference between timepoints and convert to kWh
heatingEnergy["DiffEnergyConsumption"] = heatingEnergy.value.diff() / 3600000
heatingEnergy.plot(x="timestamp", y="DiffEnergyConsumption", marker="o", alpha=0.5, stacked=True, figsize=(20, 10))

plt.savefig(sys.argv[1])
print("rows: " + str(len(heatingEnergy)))
print("kWh: " + str(round(heatingEnergy.DiffEnergyConsumption.sum(), 6)))
