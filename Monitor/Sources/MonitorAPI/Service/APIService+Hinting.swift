import WireFormats

/// Free pages that the guest names when it is asked for them.
extension APIService {
    private static let prefix = "Balloon config error: Error creating the balloon device: "

    private func checkHints() throws(Fault) {
        guard kept.balloon?.boolean("free_page_hinting") == true else {
            throw Fault(Self.prefix + "Attempting to use hinting when not enabled")
        }
    }

    func describeHints() throws(Fault) -> JSONValue {
        try checkHints()
        let hints = control.balloonHints
        return .object([
            JSONMember("host_cmd", .integer(Int64(hints?.host ?? 0))),
            JSONMember("guest_cmd", hints?.guest.map { .integer(Int64($0)) } ?? .null),
        ])
    }

    func startHints(_ body: JSONValue) throws(Fault) {
        try checkHints()
        do throws(HostRefusal) {
            try control.startBalloonHints(acknowledging: body.boolean("acknowledge_on_stop") ?? true)
        } catch { throw Fault(Self.prefix + "\(error)") }
    }

    func stopHints() throws(Fault) {
        try checkHints()
        do throws(HostRefusal) { try control.stopBalloonHints() } catch { throw Fault(Self.prefix + "\(error)") }
    }
}
