// The npm client against a bridge on this machine: `node client.cjs FOLDER PORT ID SECRET USER PASSWORD DEVICE DATAPOINT`.
// Prints one line of JSON a step; ends when the change stream has told of the device, or its input ends.
const tls = require("tls");
const [folder, port, id, secret, user, password, device, datapoint] = process.argv.slice(2);
const hosts = new Set(["cloud.belimo.com", "id.belimo.com"]);
const connect = tls.connect;
tls.connect = (options, ...rest) =>
  connect(hosts.has(options.host || options.hostname)
    ? { ...options, host: "127.0.0.1", port: Number(port), path: undefined, servername: options.servername || options.host }
    : options, ...rest);
const Client = require(`${folder}/lib/Client.js`);
const Subscriptions = require(`${folder}/lib/Subscriptions.js`);

const say = (step, value) => console.log(JSON.stringify({ step, ...value }));
const client = new Client(id, secret);
client.on("error", (error) => say("error", { error: String(error.error || error) }));
client.setUsername(user);
client.setPassword(password);

const get = (step, path) => new Promise((done) =>
  client.req(path, (error, _response, body) => { say(step, { error: error && error.message, body }); done(body); }));
const post = (step, path, given) => new Promise((done) =>
  client.post(path, given, (error, _response, body) => { say(step, { error: error && error.message, body }); done(body); }));

async function main() {
  const listed = await get("devices", "/api/v3/devices?state=REGISTERED&limit=100");
  const found = listed.data.find((each) => each.id === device);
  await get("profile", found.dataprofile.ref.replace("/", "/api/v3/"));
  await get("device", `/api/v3/devices/${device}`);
  await get("series", `/api/v3/devices/${device}/data/history/timeseries?datapointIds=${datapoint}&resolution=1d`);
  await post("metadata", `/api/v3/devices/${device}/metadata`, { datapoints: { "metadata.1009": "Hinwil" } });
  await post("write", `/api/v3/devices/${device}/data`, { datapoints: { "condition_control.power_on": 1 } });
  const before = client.token.access_token;
  client.expires_in_timestamp = new Date(0);
  await get("refreshed", "/api/v3/api-info");
  say("token", { changed: client.token.access_token !== before, scope: client.token.scope });

  const subscriptions = new Subscriptions(client);
  subscriptions.setPayload({ includedDeviceIds: [device], includedDatapointIds: [] });
  const beat = subscriptions.heartbeatHandler.bind(subscriptions);
  subscriptions.heartbeatHandler = () => { beat(); if (subscriptions.res) say("heartbeat", {}); };
  subscriptions.listen((error, data) => {
    say("event", { error: error && String(error), body: data });
    if (data && data.device.state.datapoints[datapoint].value === 4711) process.exit(0);
  });
  process.stdin.on("end", () => process.exit(1)).resume();
}

main().catch((error) => { say("thrown", { error: String(error.stack) }); process.exit(2); });
