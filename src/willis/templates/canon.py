"""Canon Medical Systems: Vitrea VNA and DelftDI, the reference deployment.

After the table of virtual services in Loadbalancer.org's deployment guide "Load balancing
Canon Medical Systems" (updated 19 November 2025): eleven services by layer-4 DR with
persistence by source address, five by the layer-7 proxy with a cookie. Its 'Connect to
Port' is the check `tcp`. Time-outs are that product's defaults: 5 minutes of source
persistence, 30 minutes idle and 12 hours of life for the cookie.
"""

from __future__ import annotations

from willis.model.check import Check
from willis.model.persistence import CookiePersistence, SourcePersistence
from willis.model.service import Application, Forwarding, Scheduler
from willis.templates.template import Question, Row, Template


def _dr(name: str, port: int, application: Application, says: str) -> Row:
    return Row(name, port, Forwarding.DR, application, SourcePersistence(300), says)


def _web(name: str, port: int, says: str) -> Row:
    cookie = CookiePersistence("SERVERID", idle_s=30 * 60, life_s=12 * 3600)
    return Row(name, port, Forwarding.PROXY, Application.HTTP, cookie, says)


_DICOM, _HL7 = Application.DICOM, Application.HL7

CANON = Template(
    name="canon",
    title="Canon Medical Systems: Vitrea VNA and DelftDI",
    description=(
        "The 16 virtual services of the vendor's table: 11 by layer-4 DR with persistence by source address "
        "(DICOM, HL7, worklist, MINT) and 5 by the layer-7 proxy with a cookie (web applications)."
    ),
    questions=(
        Question(
            "interface", "Which interface of the node faces the imaging hosts?", "an interface name", "eth0"
        ),
        Question(
            "address",
            "Which address has the node there?",
            "an address with its prefix length",
            "10.60.0.2/24",
        ),
        Question(
            "hosts",
            "Which imaging hosts carry the services?",
            "1 to 64 of name=address, separated by commas; an address alone is named vna1, vna2, ...",
            "vna1=10.60.0.11,vna2=10.60.0.12,vna3=10.60.0.13",
        ),
        Question(
            "vips",
            "Which addresses do clients connect to?",
            "one address, from which the services count up; or one for each service in the table's order, "
            "separated by commas; or Service=address, where others=address stands for all not named",
            "10.60.0.101",
        ),
    ),
    scheduler=Scheduler.WLC,
    check=Check(interval_s=1.0, timeout_s=1.0, rise=2, fall=2),
    # VIP 1 and 2 share a port, so they need two addresses; all others could share one.
    rows=(
        _dr("DicomRouting", 11112, _DICOM, "DICOM, routing. Shares its port with VIP 2."),
        _dr(
            "DicomInternal",
            11112,
            _DICOM,
            "DICOM, internal. Has the port of VIP 1, so it needs its own address.",
        ),
        _dr("HL7Live", 2398, _HL7, "HL7, live."),
        _dr("HL7Migrate", 2988, _HL7, "HL7, migration."),
        _dr("MWL", 4106, Application.MWL, "DICOM modality worklist."),
        _dr("VPWorklistHL7Live", 19001, _HL7, "HL7 for the worklist, live."),
        _dr("VPWorklistHL7Migrate", 19002, _HL7, "HL7 for the worklist, migration."),
        _dr("MINT", 8080, Application.MINT, "Medical Imaging Network Transport: HTTP, yet at layer 4."),
        _dr("WorklistHL7Draft", 19011, _HL7, "HL7 for the worklist, draft reports."),
        _dr("WorklistHL7Prelim", 19012, _HL7, "HL7 for the worklist, preliminary reports."),
        _dr("WorklistHL7Signed", 19013, _HL7, "HL7 for the worklist, signed reports."),
        _web("VC_AdminTools", 8238, "Web application."),
        _web("AuthM", 8236, "Web application."),
        _web("VitreaRead", 8237, "Web application."),
        _web("Worklist", 8089, "Web application."),
        _web("VPSmartReporting", 8994, "Web application."),
    ),
)
