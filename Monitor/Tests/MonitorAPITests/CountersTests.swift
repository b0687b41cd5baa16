import Testing

@testable import MonitorAPI

@Suite struct CountersTests {
    @Test func `what each device has counted is told by its name`() {
        let face = Face()
        #expect(
            face.fault("GET /swiftlet/counters")
                == "The requested operation is not supported before starting the microVM.")
        face.start()
        let answer = face.ask("GET /swiftlet/counters")
        #expect(answer.hasPrefix(#"200 {"cpu_time_us":"#))
        #expect(
            answer.contains(
                #""drives":[{"drive_id":"rootfs","read_bytes":7,"read_count":7,"write_bytes":7,"write_count":7,"rate_limiter_throttled_events":7}]"#
            ))
        #expect(answer.contains(#""network-interfaces":[{"iface_id":"eth0","rx_bytes_count":7,"rx_packets_count":7,"#))
        #expect(answer.contains(#""balloon":{"target_mib":"#))
    }

    @Test func `a machine without devices has none to tell of`() {
        let face = Face()
        for request in Face.machine.prefix(2) { _ = face.ask(request) }
        _ = face.ask(#"PUT /actions {"action_type":"InstanceStart"}"#)
        let answer = face.ask("GET /swiftlet/counters")
        #expect(answer.contains(#""drives":[],"network-interfaces":[]"#))
    }
}
