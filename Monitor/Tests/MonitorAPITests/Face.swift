import APITestSupport
import MetadataService

@testable import MonitorAPI

/// A service with such a host.
struct Face {
    let control = RecordingControl()
    let service: APIService
    let metrics: MonitorMetrics

    init(metadataLimitBytes: Int = 51_200) {
        let log = MonitorLog(identifier: "a1")
        log.set(level: .off)
        metrics = MonitorMetrics(log: log)
        service = APIService(
            identifier: "a1", control: control, log: log, metrics: metrics,
            metadata: MetadataStore(limitBytes: metadataLimitBytes))
    }

    /// - Parameter request: `METHOD PATH`, and the body behind another space, if any.
    /// - Returns: status, and the body behind a space, if any; a deprecated request's ends with an exclamation mark.
    func ask(_ request: String) -> String {
        let words = request.split(separator: " ", maxSplits: 2, omittingEmptySubsequences: false).map(String.init)
        let method: HTTPRequest.Method = words[0] == "GET" ? .get : words[0] == "PUT" ? .put : .patch
        let response = service.answer(
            HTTPRequest(method, words[1], body: words.count > 2 ? Array(words[2].utf8) : []))
        let body = String(decoding: response.body, as: UTF8.self)
        return "\(response.status)" + (body.isEmpty ? "" : " " + body) + (response.isDeprecated ? "!" : "")
    }

    /// The message of a fault.
    func fault(_ request: String) -> String {
        let answer = ask(request)
        guard answer.hasPrefix(#"400 {"fault_message":""#) else { return "no fault: " + answer }
        return String(answer.dropFirst(22).prefix { $0 != "}" }.dropLast())
    }

    /// Describes a machine with one of everything, and starts it.
    func start() {
        for request in Self.machine { assertDone(request) }
        assertDone(#"PUT /actions {"action_type":"InstanceStart"}"#)
    }

    private func assertDone(_ request: String) {
        let answer = ask(request)
        precondition(answer.hasPrefix("204"), "\(request): \(answer)")
    }

    static let machine = [
        #"PUT /boot-source {"kernel_image_path":"/k","boot_args":"console=ttyS0"}"#,
        #"PUT /machine-config {"vcpu_count":2,"mem_size_mib":64}"#,
        #"PUT /drives/rootfs {"drive_id":"rootfs","is_root_device":true,"path_on_host":"/d"}"#,
        #"PUT /network-interfaces/eth0 {"iface_id":"eth0","host_dev_name":"tap0","guest_mac":"06:00:AC:10:00:02"}"#,
        #"PUT /vsock {"guest_cid":3,"uds_path":"/v"}"#,
        #"PUT /balloon {"amount_mib":10,"deflate_on_oom":true,"stats_polling_interval_s":1}"#,
        #"PUT /entropy {}"#,
        #"PUT /mmds/config {"network_interfaces":["eth0"],"version":"V2"}"#,
    ]
}
