// All texts of the pages, in English and Chinese: word -> [en, zh]. {name} is filled in.

const TEXTS = {
  title: ["EMS bridge", "EMS 网桥"],
  skip: ["Skip to content", "跳到内容"],
  pages: ["Pages", "页面"],
  fleet: ["Fleet", "设备"],
  plots: ["Plots", "曲线"],
  commands: ["Commands", "命令"],
  dead: ["Dead letters", "死信"],
  language: ["中文", "English"],
  theme: ["Theme", "主题"],
  auto: ["auto", "自动"],
  light: ["light", "浅色"],
  dark: ["dark", "深色"],
  leave: ["Forget key", "清除密钥"],
  loading: ["Loading…", "加载中…"],

  key: ["API key", "API 密钥"],
  enter: ["Enter", "进入"],
  key_help: [
    "The secret of an account (ems-bridge account add). It is kept until this tab is closed.",
    "账户的密钥（ems-bridge account add）。仅保存到此标签页关闭为止。",
  ],
  wrong_key: ["This key is not known.", "密钥无效。"],
  key_no_more: ["The key is no longer accepted. Enter it again.", "密钥已失效，请重新输入。"],

  offline: ["The bridge cannot be reached. Trying again…", "无法连接网桥，正在重试…"],
  forbidden: ["This account may not see that.", "此账户无权查看。"],
  not_found: ["That is not there, or belongs to somebody else.", "不存在，或属于他人。"],
  too_many: [
    "Too many wrong keys came from this address, or too many requests. Try again later.",
    "此地址的错误密钥或请求过多，请稍后再试。",
  ],
  unavailable: ["The bridge's store cannot be used at the moment. Trying again…", "网桥存储暂时不可用，正在重试…"],
  refused: ["The bridge refused the request: {message}", "请求被拒绝：{message}"],
  failed: ["The bridge failed ({status}). Its log tells more.", "网桥出错（{status}），详见其日志。"],
  live: ["live", "实时"],
  reconnecting: ["connection lost, trying again…", "连接中断，正在重连…"],
  missed: ["{count} events were missed; read again.", "错过 {count} 个事件，已重新读取。"],

  device: ["Device", "设备"],
  state: ["State", "状态"],
  power: ["Power", "功率"],
  newest_power: ["Newest power", "最新功率"],
  alarm: ["Newest alarm", "最新告警"],
  online: ["online", "在线"],
  offline_state: ["offline", "离线"],
  disabled: ["disabled", "已停用"],
  since: ["since {time}", "自 {time}"],
  never: ["never seen", "从未上线"],
  search: ["Search", "搜索"],
  all: ["all", "全部"],
  more: ["and {count} more", "另有 {count} 项"],
  shown: ["{shown} of {count} devices", "{count} 台设备中的 {shown} 台"],
  at_least: ["the first {count} devices; search finds among these", "前 {count} 台设备；仅在其中搜索"],
  no_devices: ["No devices yet: ems-bridge device add makes one.", "尚无设备：用 ems-bridge device add 添加。"],
  nothing_found: ["Nothing fits.", "没有匹配项。"],
  level: ["level {level}", "级别 {level}"],
  handled: ["handled", "已处理"],

  assets: ["Assets", "资产"],
  choose_asset: ["Choose an asset.", "请选择资产。"],
  no_assets: ["No readings have come yet.", "尚无读数。"],
  many_assets: ["At most {count} assets over each other.", "最多叠加 {count} 个资产。"],
  range: ["Range", "范围"],
  day: ["Day", "日"],
  week: ["Week", "周"],
  month: ["Month", "月"],
  year: ["Year", "年"],
  custom: ["Custom", "自定义"],
  from: ["From", "从"],
  to: ["To", "到"],
  show: ["Show", "显示"],
  bad_range: ["The end must be after the start.", "结束时间必须晚于开始时间。"],
  earlier: ["Earlier", "向前"],
  later: ["Later", "向后"],
  now: ["Now", "现在"],
  zoom_in: ["Zoom in", "放大"],
  zoom_out: ["Zoom out", "缩小"],
  energy: ["Energy", "电量"],
  point: ["Point", "测点"],
  no_power: ["These assets measure nothing but counters.", "这些资产只有计数器。"],
  no_energy: ["These assets have no energy counter.", "这些资产没有电量计数器。"],
  no_readings: ["No readings in this range.", "此范围内没有读数。"],
  newest_at: ["The newest are of {time}.", "最新读数：{time}。"],
  go_there: ["Go there", "前往"],
  missing: ["Without this point: {names}", "没有此测点：{names}"],
  limit: ["Demand limit", "需量限值"],
  limit_by_hand: ["Demand limit by hand, kW", "手动输入需量限值 (kW)"],
  limit_hand: ["entered by hand", "手动输入"],
  limit_sent: ["sent {time}, {state}", "{time} 下发，{state}"],
  limit_told: ["as reported by the device", "设备上报"],
  limit_off: ["switched off", "已关闭"],
  limit_none: ["none known", "未知"],
  limit_meter: ["meter {meter}", "电表 {meter}"],
  as_read: ["every reading", "原始读数"],
  by: ["by {step}: mean, lowest and highest", "每 {step}：平均、最低、最高"],
  sums: ["by {step}", "每 {step}"],
  coverage: ["readings in {share} % of the quarter-hours", "{share} % 的刻钟有读数"],
  late: ["{count} rows came late", "{count} 行迟到"],
  month_step: ["month", "月"],
  days: ["d", "天"],
  hours: ["h", "小时"],
  minutes: ["min", "分钟"],
  seconds: ["s", "秒"],
  zone: ["Times are of {zone}.", "时间为 {zone}。"],
  own_zones: ["Other zones: {names}", "其他时区：{names}"],
  summary: [
    "{name}: lowest {low}, highest {high}, last {last} {unit} at {time}",
    "{name}：最低 {low}，最高 {high}，最新 {last} {unit}（{time}）",
  ],
  summed: ["{name}: {sum} {unit} altogether", "{name}：合计 {sum} {unit}"],
  total: ["total", "合计"],
  as_table: ["As a table", "以表格显示"],
  only_first: ["the first {count} rows", "前 {count} 行"],
  time: ["Time", "时间"],
  chart_keys: [
    "Arrow keys move in time, plus and minus zoom. Drag to zoom, double-click to go back.",
    "方向键移动时间，加减键缩放。拖动放大，双击返回。",
  ],

  command: ["Command", "命令"],
  answer: ["Answer", "应答"],
  sender: ["Sender", "发送者"],
  details: ["Details", "详情"],
  older: ["Older", "更早"],
  no_commands: ["No commands.", "没有命令。"],
  no_dead: ["No dead letters: nothing was refused.", "没有死信：没有被拒绝的消息。"],
  source: ["Source", "来源"],
  topic: ["Topic", "主题"],
  reason: ["Reason", "原因"],
  payload: ["Payload", "内容"],
  base64: ["{count} bytes that are no text, as Base64", "{count} 字节，非文本，Base64"],
  cut: ["the first {shown} of {count} characters", "{count} 个字符中的前 {shown} 个"],
  your_zone: ["Times are of this browser's zone, {zone}.", "时间为此浏览器的时区 {zone}。"],

  accepted: ["accepted", "已受理"],
  sent: ["sent", "已发送"],
  delivered: ["delivered", "已送达"],
  succeeded: ["succeeded", "成功"],
  rejected: ["rejected", "被拒绝"],
  timed_out: ["timed out", "超时"],
  late_succeeded: ["succeeded late", "超时后成功"],
  late_rejected: ["rejected late", "超时后被拒绝"],
  expired: ["expired", "已过期"],
  undeliverable: ["undeliverable", "无法送达"],
  cancelled: ["cancelled", "已取消"],
};

const LANGUAGES = ["en", "zh"];
const KEPT = "ems.language";

// What was chosen here, else what the server found in Accept-Language.
let spoken = [kept(), document.documentElement.lang].find((each) => LANGUAGES.includes(each)) ?? "en";
document.documentElement.lang = spoken;

export function t(word, values = {}) {
  const text = TEXTS[word]?.[LANGUAGES.indexOf(spoken)] ?? word;
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

export function language() {
  return spoken;
}

export function otherLanguage() {
  return LANGUAGES.find((each) => each !== spoken);
}

export function speak(chosen) {
  spoken = chosen;
  document.documentElement.lang = chosen;
  try {
    localStorage.setItem(KEPT, chosen);
  } catch {
    // a browser that keeps nothing speaks it until the page is left
  }
}

function kept() {
  try {
    return localStorage.getItem(KEPT);
  } catch {
    return null;
  }
}
