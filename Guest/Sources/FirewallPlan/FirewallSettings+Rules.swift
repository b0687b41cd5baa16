public import AgentProtocol
import ApplianceGuest

extension FirewallSettings {
    /// The table that holds all of it, in each of its forms.
    public static let table: ByteString = "inet firewall"

    /// Nothing in, nothing through, nothing out but to itself: what counts until settings are in force.
    public static let closedRules: ByteString = """
        table inet firewall
        delete table inet firewall
        table inet firewall {
            chain input { type filter hook input priority filter; policy drop; iifname "lo" accept; }
            chain forward { type filter hook forward priority filter; policy drop; }
            chain output { type filter hook output priority filter; policy drop; oifname "lo" accept; }
        }

        """

    /// What `nft -f` takes as one transaction: the whole of what was there before is replaced, or nothing is.
    ///
    /// Every value is a number, an address, or a word of ours. Source: nft(8).
    public var filterRules: ByteString {
        var text: ByteString = "table inet firewall\ndelete table inet firewall\ntable inet firewall {\n"
        for name in counterNames { text += "    counter " + name + " { }\n" }
        text += "    chain input {\n        type filter hook input priority filter; policy drop;\n"
        text += "        iifname \"lo\" accept\n"
        text += established
        text +=
            "        ip protocol icmp icmp type echo-request iifname "
            + zoneSet(answersPing ? Zone.allCases : [.inside, .dmz])
        text += " limit rate 20/second counter name ping accept\n"
        text += "        iifname \"inside\" meta nfproto ipv4 udp dport 53 counter name dns accept\n"
        text += "        iifname \"inside\" meta nfproto ipv4 tcp dport 53 counter name dns accept\n"
        if dmz != nil {
            text += "        iifname \"dmz\" meta nfproto ipv4 udp dport 53 counter name dns accept\n"
            text += "        iifname \"dmz\" meta nfproto ipv4 tcp dport 53 counter name dns accept\n"
        }
        if hasDHCP {
            text += "        iifname \"inside\" meta nfproto ipv4 udp sport 68 udp dport 67 counter name dhcp accept\n"
        }
        if let statusPort {
            text +=
                "        iifname \"inside\" ip daddr " + inside.address.text + " tcp dport " + ByteString(statusPort)
            text += " counter name status_page accept\n"
        }
        text += dropped("input")
        text += "    }\n    chain forward {\n        type filter hook forward priority filter; policy drop;\n"
        text += established
        text += "        meta nfproto ipv6 counter name dropped_forward drop\n"
        for (index, rule) in rules.enumerated() { text += line(rule, counter: "rule_" + ByteString(UInt(index))) }
        for (index, forward) in forwards.enumerated() {
            text += "        iifname \"outside\" ct status dnat ip daddr " + forward.target.text + " "
            text += forward.transport.name + " dport " + ByteString(forward.targetPort)
            text += " ct original proto-dst " + ByteString(forward.port)
            text += " counter name forward_" + ByteString(UInt(index)) + " accept\n"
        }
        text += "        iifname \"inside\" oifname \"outside\" counter name inside_outside accept\n"
        if dmz != nil {
            text += "        iifname \"inside\" oifname \"dmz\" counter name inside_dmz accept\n"
            text += "        iifname \"dmz\" oifname \"outside\" counter name dmz_outside accept\n"
        }
        text += dropped("forward")
        text += "    }\n    chain output {\n        type filter hook output priority filter; policy accept;\n"
        text += "        meta nfproto ipv6 oifname != \"lo\" drop\n    }\n"
        text += addressTranslation
        return text + "}\n"
    }

    /// Names of the rules' counters, in the order in which people look at them.
    public var counterNames: [ByteString] {
        var names: [ByteString] = ["inside_outside"]
        if dmz != nil { names += ["inside_dmz", "dmz_outside"] }
        for index in forwards.indices { names.append("forward_" + ByteString(UInt(index))) }
        for index in rules.indices { names.append("rule_" + ByteString(UInt(index))) }
        return names + ["dns", "dhcp", "status_page", "ping", "invalid", "dropped_input", "dropped_forward"]
    }

    private var established: ByteString {
        """
                ct state established,related accept
                ct state invalid counter name invalid drop

        """
    }

    private func zoneSet(_ zones: [Zone]) -> ByteString {
        var text: ByteString = "{ "
        for zone in zones where zone != .dmz || dmz != nil {
            text += (text.count > 2 ? ", " : "") + "\"" + zone.name + "\""
        }
        return text + " }"
    }

    private func dropped(_ chain: ByteString) -> ByteString {
        var text: ByteString = ""
        if logsDropped { text += "        limit rate 10/minute log prefix \"firewall " + chain + " \"\n" }
        return text + "        counter name dropped_" + chain + " drop\n"
    }

    private func line(_ rule: Rule, counter: ByteString) -> ByteString {
        var text: ByteString = "        iifname \"" + rule.from.name + "\" oifname \"" + rule.to.name + "\""
        if let source = rule.source { text += " ip saddr " + source.text }
        if let destination = rule.destination { text += " ip daddr " + destination.text }
        switch rule.kind {
        case .any: break
        case .icmp: text += " meta l4proto icmp"
        case .tcp, .udp:
            let name: ByteString = rule.kind == .tcp ? "tcp" : "udp"
            if let ports = rule.ports {
                text += " " + name + " dport " + ByteString(ports.lowerBound)
                if ports.count > 1 { text += "-" + ByteString(ports.upperBound) }
            } else {
                text += " meta l4proto " + name
            }
        }
        text += " counter name " + counter + " "
        switch rule.action {
        case .reject: text += "reject with icmpx type admin-prohibited"
        default: text += rule.action.name
        }
        return text + "\n"
    }

    private var addressTranslation: ByteString {
        var text: ByteString =
            "    chain prerouting {\n        type nat hook prerouting priority dstnat; policy accept;\n"
        for forward in forwards {
            text += "        iifname \"outside\" ip daddr " + outside.address.text
            if let source = forward.source { text += " ip saddr " + source.text }
            text += " " + forward.transport.name + " dport " + ByteString(forward.port)
            text += " dnat ip to " + forward.target.text + ":" + ByteString(forward.targetPort) + "\n"
        }
        text += "    }\n    chain postrouting {\n        type nat hook postrouting priority srcnat; policy accept;\n"
        for network in [inside.network] + (dmz.map { [$0.network] } ?? []) {
            text +=
                "        oifname \"outside\" ip saddr " + network.text + " snat ip to " + outside.address.text + "\n"
        }
        return text + "    }\n"
    }
}
