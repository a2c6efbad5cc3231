import type { ChannelConfig, Config } from "../../config/config.ts";
import { type Finding, fail, ok, warn } from "./finding.ts";

/** Promise 8: nobody has to look, so somebody must be told. Sends nothing. */
export function checkChannels(config: Config): readonly Finding[] {
  const findings = [...config.channels.values()].flatMap((channel) => checkAddress(channel));
  const silent = [...config.jobs.values()].filter(({ enabled, notify }) => enabled && notify.length === 0).map(({ name }) => name);
  if (silent.length > 0) {
    findings.push(
      warn("notifications", `nobody is told when ${silent.join(", ")} fails`, "Add channels to `notify:` and name them in the jobs."),
    );
  }
  return findings;
}

function checkAddress(channel: ChannelConfig): readonly Finding[] {
  if (channel.kind === "command") return [];
  const what = `notify channel ${channel.name}`;
  const address = URL.parse(channel.url.reveal());
  if (address === null || !/^https?:$/.test(address.protocol)) return [fail(what, "its url is not an http or https address")];
  const { hostname } = address;
  if (/(^|\.)example\.(com|org|net)$|\.(invalid|example)$/.test(hostname))
    return [fail(what, "its url is that of an example", "Put the real address in.")];
  const isNear = /^(localhost|127\.|\[::1\]|10\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.)/.test(hostname);
  if (address.protocol === "http:" && !isNear)
    return [warn(what, "it is called without encryption: whoever listens sees its address", "Use https.")];
  return [ok(what, `${address.protocol}//${hostname} (not called)`)];
}
